/* Two services on two ports, and a client: example_services ECHO STATUS HOME
 *
 *     ECHO     a port; 0: any. Answers what it receives
 *     STATUS   a port; 0: any. Sends how many connections there are, and closes
 *     HOME     the port of another server: each loop connects there as it
 *              starts, and sends a line
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/net/server.h>

static ssize_t echo_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	(void)ctx;
	if (weir_conn_send(conn, bytes, byte_count) < 0)
		return 0; /* queue full: shown again later */
	return (ssize_t)byte_count;
}

static void status_on_open(struct weir_conn *conn, void *ctx)
{
	struct weir_loop *loop = weir_conn_loop(conn);
	struct weir_server_snapshot seen;
	char text[64];
	(void)ctx;
	weir_server_snapshot(weir_loop_server(loop), &seen, NULL, 0);
	int count = snprintf(text, sizeof(text), "%llu connections\n",
			     (unsigned long long)seen.accepts);
	weir_conn_send(conn, text, (size_t)count);
	weir_conn_close(conn); /* once it is sent */
}

static void home_on_open(struct weir_conn *conn, void *ctx)
{
	char text[32];
	(void)ctx;
	int count = snprintf(text, sizeof(text), "loop %u serves\n",
			     weir_loop_index(weir_conn_loop(conn)));
	weir_conn_send(conn, text, (size_t)count);
}

static const struct weir_service echo = {
	.name = "echo",
	.handlers.on_data = echo_on_data,
};
static const struct weir_service status = {
	.name = "status",
	.handlers.on_open = status_on_open,
	.idle_timeout_ms = 1000,
};
static const struct weir_service home = {
	.name = "home",
	.handlers.on_open = home_on_open,
	.idle_timeout_ms = WEIR_NO_TIMEOUT,
};

/* On the loop's thread, before its first handler. */
static int on_start(struct weir_loop *loop, void *addr)
{
	return weir_loop_connect(loop, &home, addr, NULL, NULL);
}

static uint16_t port_of(const char *text)
{
	return (uint16_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s ECHO STATUS HOME\n", argv[0]);
		return 2;
	}
	struct weir_addr addr;
	struct weir_listen listen[] = {
		{ .service = &echo, .port = port_of(argv[1]) },
		{ .service = &status, .port = port_of(argv[2]) },
	};
	struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = 2,
		.loop.hooks = { .on_start = on_start, .ctx = &addr },
	};
	struct weir_server *server;
	struct weir_server_snapshot seen;
	struct weir_error error;
	sigset_t stop;
	weir_addr_parse("127.0.0.1", port_of(argv[3]), &addr);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	if (weir_server_open(&server, &opts, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	weir_server_snapshot(server, &seen, NULL, 0);
	printf("echo %u status %u\n", weir_addr_port(&seen.addrs[0]),
	       weir_addr_port(&seen.addrs[1]));
	fflush(stdout);
	sigwaitinfo(&stop, NULL);
	weir_server_stop(server);
	int err = weir_server_join(server);
	weir_server_close(server);
	return err < 0 ? 1 : 0;
}

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <weir/net/server.h>
#include <weir/proto/frame.h>

static ssize_t on_data(struct weir_conn *conn, const uint8_t *bytes,
		       size_t byte_count, void *format)
{
	struct weir_frame frame;
	size_t used = 0;
	int err;
	while ((err = weir_frame_decode(format, bytes + used, byte_count - used,
					&frame)) == 0) {
		if (weir_conn_send(conn, bytes + used, frame.frame_bytes) < 0)
			return used; /* queue full: shown again later */
		used += frame.frame_bytes;
	}
	if (err != -EAGAIN)
		return err; /* answers what came before, then closes */
	weir_conn_need(conn, frame.need_bytes);
	return used;
}

int main(void)
{
	struct weir_frame_format format = { .prefix = WEIR_FRAME_U32 };
	struct weir_service echo = { .handlers.on_data = on_data,
				     .ctx = &format };
	struct weir_listen listen = { .service = &echo, .port = 7000 };
	struct weir_server_opts opts = { .listen = &listen, .listen_count = 1 };
	struct weir_server *server;
	struct weir_error error;
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	if (weir_server_open(&server, &opts, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	sigwaitinfo(&stop, NULL); /* the loops have threads of their own */
	weir_server_stop(server); /* answers what was received, then ends */
	int err = weir_server_join(server);
	weir_server_close(server);
	return err < 0 ? 1 : 0;
}

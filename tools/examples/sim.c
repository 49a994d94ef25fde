/* Your handlers, in thousands of worlds: example_sim --help */
#include <ctype.h>
#include <string.h>
#include <weir/net/loop.h>
#include <weir/sim/sim_main.h>

enum { PORT = 7000 };

/* What is tested: answers each line with itself in upper case. */
static ssize_t on_data(struct weir_conn *conn, const uint8_t *bytes,
		       size_t byte_count, void *ctx)
{
	const uint8_t *end;
	size_t used = 0;
	(void)ctx;
	while ((end = memchr(bytes + used, '\n', byte_count - used)) != NULL) {
		size_t count = (size_t)(end + 1 - (bytes + used));
		uint8_t *out = weir_conn_reserve(conn, count);
		if (out == NULL)
			break; /* queue full: shown again later */
		for (size_t i = 0; i < count; i++)
			out[i] = (uint8_t)toupper(bytes[used + i]);
		weir_conn_commit(conn, count);
		used += count;
	}
	return (ssize_t)used; /* half a line is shown again, with its end */
}

/* A client, one step at a time. The tape decides when it gets a step, and in
 * which pieces data arrives. */
static const char question[] = "every\nschedule\n";
static const char answer[] = "EVERY\nSCHEDULE\n";
enum { ANSWER_BYTES = sizeof(answer) - 1 };

struct client {
	struct weir_loop *loop;
	int conn;
	size_t sent, got;
};

static bool client_step(struct weir_sim *sim, void *ctx)
{
	struct client *c = ctx;
	char bytes[16];
	if (c->conn < 0)
		return (c->conn = weir_sim_connect(sim, PORT)) >= 0;
	int took = weir_sim_write(sim, c->conn, question + c->sent,
				  ANSWER_BYTES - c->sent);
	if (took > 0)
		c->sent += (size_t)took;
	int count = weir_sim_read(sim, c->conn, bytes, sizeof(bytes));
	if (count <= 0)
		return took > 0; /* false: nothing to do until data arrives */
	if (c->got + (size_t)count > ANSWER_BYTES ||
	    memcmp(bytes, answer + c->got, (size_t)count) != 0)
		weir_sim_violate(sim, "the answer is wrong");
	c->got += (size_t)count;
	if (c->got == ANSWER_BYTES)
		weir_loop_stop(c->loop);
	return true;
}

/* One world, the same for the same tape. */
static void play(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	struct weir_service service = { .handlers.on_data = on_data };
	struct weir_loop_opts opts = { .ring.kernel = weir_sim_kernel(sim),
				       .conn_count = 4,
				       .buf_count = 2 };
	struct client client = { .conn = -1 };
	struct weir_error error;
	if (weir_loop_open(&client.loop, &opts, &error) < 0) {
		weir_sim_note(sim, "%s", error.text);
		weir_sim_violate(sim, "the loop does not open");
		return;
	}
	weir_sim_on_step(sim, client_step, &client);
	weir_sim_serve(sim, client.loop, &service, PORT); /* to its end */
	if (client.got < ANSWER_BYTES)
		weir_sim_violate(sim, "the loop ends too early");
	weir_loop_close(client.loop);
}

int main(int argc, char **argv)
{
	struct weir_sim_opts opts = { .faults = WEIR_FAULT_SHORT_SEND |
						WEIR_FAULT_ENTER |
						WEIR_FAULT_TERMINATE };
	return weir_sim_main(argc, argv, &opts, play, NULL);
}

/* Your handlers, in thousands of worlds: example_sim --help */
#include <stdio.h>
#include <string.h>
#include <weir/net/loop.h>
#include <weir/test/sim/sim_main.h>

enum { PORT = 7000, ANSWER_BYTES = 9 };

/* What is tested: answers each byte with itself in upper case. */
static ssize_t on_data(struct weir_conn *conn, const uint8_t *bytes,
		       size_t byte_count, void *ctx)
{
	uint8_t out[64];
	size_t count = byte_count < sizeof(out) ? byte_count : sizeof(out);
	(void)ctx;
	for (size_t i = 0; i < count; i++)
		out[i] = bytes[i] & 0xdf;
	if (weir_conn_send(conn, out, count) < 0)
		return 0; /* queue full: shown again later */
	return (ssize_t)count;
}

/* A client, a step at a time; the tape decides when it has its turn, how much
 * of what it writes is taken, and in what pieces that arrives. */
struct client {
	struct weir_loop *loop;
	int conn;
	size_t sent, got;
};

static bool client_step(struct weir_sim *sim, void *ctx)
{
	static const char question[] = "schedules", answer[] = "SCHEDULES";
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
		return took > 0; /* false: nothing to do until something came */
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
	struct weir_handlers handlers = { .on_data = on_data };
	struct weir_loop_opts opts = { .ring.kernel = weir_sim_kernel(sim),
				       .conn_count = 4,
				       .buf_count = 2 };
	struct client client = { .conn = -1 };
	struct weir_error error;
	if (weir_loop_open(&client.loop, &opts, &handlers, ctx, &error) < 0) {
		weir_sim_note(sim, "%s", error.text);
		weir_sim_violate(sim, "the loop does not open");
		return;
	}
	weir_sim_on_step(sim, client_step, &client);
	weir_sim_serve(sim, client.loop, PORT); /* until it has ended */
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

/* Your handlers, in a thousand worlds: example_sim [SEED] */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/net/loop.h>
#include <weir/test/sim/sim.h>

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

/* A client; the tape decides when it has its turn, and what arrives. */
static struct client {
	struct weir_loop *loop;
	int conn, sent, got;
} client;

static bool client_step(struct weir_sim *sim, void *ctx)
{
	static const char question[] = "schedules", answer[] = "SCHEDULES";
	char bytes[16];
	struct client *c = ctx;
	if (c->conn < 0)
		return (c->conn = weir_sim_connect(sim, 7000)) >= 0;
	int took = weir_sim_write(sim, c->conn, question + c->sent,
				  9 - (size_t)c->sent);
	if (took > 0)
		c->sent += took;
	int count = weir_sim_read(sim, c->conn, bytes, sizeof(bytes));
	if (count > 0 && (c->got + count > 9 ||
			  memcmp(bytes, answer + c->got, (size_t)count) != 0))
		weir_sim_violate(sim, "the answer is wrong");
	if (count > 0)
		c->got += count;
	if (c->got == 9)
		weir_loop_stop(c->loop);
	return took > 0 || count > 0;
}

/* One world. Returns the rule that was broken, or NULL. */
static const char *play(struct weir_tape *tape, FILE *story)
{
	struct weir_sim_opts opts = { .faults = WEIR_FAULT_SHORT_SEND |
						WEIR_FAULT_ENTER |
						WEIR_FAULT_TERMINATE,
				      .story = story };
	struct weir_handlers handlers = { .on_data = on_data };
	struct weir_listen_request where = { .backlog = 8 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(7000) };
	struct weir_sim *sim;
	struct weir_error error;
	if (weir_sim_open(&sim, tape, &opts) < 0)
		return "no memory";
	const struct weir_kernel *kernel = weir_sim_kernel(sim);
	struct weir_loop_opts loop_opts = { .ring.kernel = kernel,
					    .conn_count = 4,
					    .backlog = 8,
					    .buf_count = 2 };
	client = (struct client){ .conn = WEIR_SIM_NO_CONN };
	if (weir_loop_open(&client.loop, &loop_opts, &handlers, NULL, &error) <
	    0)
		return fprintf(stderr, "%s\n", error.text), "no loop";
	memcpy(&where.address, &address, sizeof(address));
	where.address_bytes = sizeof(address);
	weir_loop_listen(client.loop, kernel->listen(kernel->ctx, &where));
	weir_sim_on_step(sim, client_step, &client);
	int turns = 0;
	int result = weir_loop_enable(client.loop);
	while (result >= 0 && weir_sim_violation(sim) == NULL) {
		result = weir_loop_turn(client.loop, WEIR_TIMEOUT_NEVER);
		if (result == 0)
			break;
		if (++turns > 10000 || weir_sim_is_idle(sim))
			weir_sim_violate(sim, "it waits for ever");
	}
	if (result < 0 || client.got < 9)
		weir_sim_violate(sim, "the loop ends too early");
	const char *rule = weir_sim_violation(sim);
	weir_loop_close(client.loop);
	weir_sim_close(sim);
	return rule;
}

int main(int argc, char **argv)
{
	static struct weir_tape tape;
	const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const uint64_t end = argc > 1 ? first + 1 : 1000;
	for (uint64_t seed = first; seed < end; seed++) {
		weir_tape_seed(&tape, seed);
		const char *rule = play(&tape, argc > 1 ? stdout : NULL);
		if (rule != NULL)
			return printf("seed %llu: %s\n",
				      (unsigned long long)seed, rule);
	}
	return puts("no rule was broken") < 0;
}

/* wire.h - two private networks, and an unreliable wire between them
 *
 *     here: 10.77.0.1  tun --- relay thread --- tun  there: 10.77.0.2
 *                      loses, doubles, reorders, damages, delays
 *
 * Every packet passes through a thread of the test (tun(4)), which decides from
 * a seed what to do with it. So the kernel needs no netem, and the test knows
 * what was done. A program that is started "here" or "there" stays in that
 * network.
 */
#ifndef WEIR_TEST_WIRE_H
#define WEIR_TEST_WIRE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_HERE "10.77.0.1"
#define WIRE_THERE "10.77.0.2"

/**
 * struct wire_opts - what becomes of a packet, in each direction; a SYN is only
 *                    delayed
 * @lost, @doubled, @flipped: percent; a flipped packet has one wrong bit
 * @late:                     percent delayed by LATE_US, so later ones overtake
 * @delay_us:                 of all of them
 * @mtu:                      0 for 1500
 */
struct wire_opts {
	uint64_t seed;
	uint32_t lost;
	uint32_t doubled;
	uint32_t late;
	uint32_t flipped;
	uint32_t delay_us;
	int mtu;
};

struct wire_counts {
	uint64_t packets; /* all packets; each may be counted below too */
	uint64_t lost;
	uint64_t doubled;
	uint64_t late;
	uint64_t flipped;
};

struct wire_packet;

struct wire {
	struct wire_opts opts;
	int tuns[2];
	int nets[2];
	int home; /* the network that the test came from */
	pthread_t thread;
	int stop_fds[2]; /* the relay ends when the second is closed */
	uint64_t random;
	struct wire_packet *packets; /* a heap by their due time */
	uint32_t packet_count;
	uint64_t sequence;
	struct wire_counts counts; /* valid after wire_close() */
};

/* Returns NULL, or the reason of the failure. The calling thread is then
 * "here". */
const char *wire_open(struct wire *wire, const struct wire_opts *opts);
/* New programs and sockets of this thread are then there, or here. */
void wire_enter(struct wire *wire, bool is_there);
void wire_close(struct wire *wire);

#endif

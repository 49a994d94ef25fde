/* sample.h - on which CPU do the packets of a connection come in?
 *
 * One in so many accepted sockets is asked for its SO_INCOMING_CPU, by an
 * operation of the ring. The answer shows whether steering works.
 */
#ifndef WEIR_NET_SAMPLE_H
#define WEIR_NET_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct wi_core;
struct io_uring_cqe;

struct wi_sample {
	uint32_t interval; /* 0: none */
	uint32_t left;     /* accepts until the next one */
	bool is_in_flight;
	int cpu;    /* of the loop, or -1 */
	int answer; /* lent to the kernel while in flight */
};

void wi_sample_init(struct wi_sample *sample, uint32_t interval, int cpu);

/* A connection has been accepted into @file_slot. */
void wi_sample_accepted(struct wi_sample *sample, struct wi_core *core,
			uint32_t file_slot);

void wi_sample_complete(struct wi_sample *sample, struct wi_core *core,
			const struct io_uring_cqe *cqe);

#endif

/* rows.h - the measured loops, compiled once for each side
 *
 * The file that includes this has defined, all static inline:
 *
 *     struct side                  the library's ring, and bytes for I/O
 *     side_nop(), side_send(), side_recv()   take an entry and fill it
 *     side_submit()                submit all, run deferred work, no sleep
 *     side_wait()                  submit all, wait for one completion
 *     side_publish()               the store of the SQ tail alone
 *     side_reap(side, &sum)        all that is ready; adds what they carry
 *     side_fake_submitted()        the kernel's part: SQ head = SQ tail
 *     side_fake_completed(n)       the kernel's part: CQ tail += n
 */
#ifndef WEIR_TOOLS_MICRO_ROWS_H
#define WEIR_TOOLS_MICRO_ROWS_H

#include "side.h"

static uint64_t row_nop(struct side *side, uint32_t count, uint32_t batch)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t k = 0; k < batch; k++)
			side_nop(side);
		side_submit(side);
		side_reap(side, &seen);
	}
	return seen;
}

static uint64_t row_wait(struct side *side, uint32_t count)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) {
		side_nop(side);
		side_wait(side);
		side_reap(side, &seen);
	}
	return seen;
}

static uint64_t row_recv(struct side *side, uint32_t count, int fd)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) {
		side_recv(side, fd);
		side_wait(side);
		side_reap(side, &seen);
	}
	return seen;
}

static uint64_t row_take_send(struct side *side, uint32_t count, uint32_t batch)
{
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t k = 0; k < batch; k++)
			side_send(side, (int)k);
		side_publish(side);
		side_fake_submitted(side);
	}
	return (uint64_t)count * batch;
}

static uint64_t row_reap(struct side *side, uint32_t count, uint32_t batch)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) {
		side_fake_completed(side, batch);
		side_reap(side, &seen);
	}
	return seen;
}

static uint64_t row_round(struct side *side, uint32_t count)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) {
		side_send(side, (int)i);
		side_publish(side);
		side_fake_submitted(side);
		side_fake_completed(side, 1);
		side_reap(side, &seen);
	}
	return seen;
}

static uint64_t row_run(struct side *side, enum micro_row row, uint32_t count,
			int fd)
{
	switch (row) {
	case MICRO_NOP:
		return row_nop(side, count, 1);
	case MICRO_NOP_BATCH:
		return row_nop(side, count, MICRO_BATCH);
	case MICRO_WAIT_PLAIN:
	case MICRO_WAIT_REGISTERED:
		return row_wait(side, count);
	case MICRO_RECV:
		return row_recv(side, count, fd);
	case MICRO_TAKE_SEND:
		return row_take_send(side, count, MICRO_BATCH);
	case MICRO_TAKE_SEND_ONE:
		return row_take_send(side, count, 1);
	case MICRO_REAP:
		return row_reap(side, count, MICRO_BATCH);
	case MICRO_REAP_ONE:
		return row_reap(side, count, 1);
	case MICRO_ROUND:
		return row_round(side, count);
	case MICRO_ROW_COUNT:
		break;
	}
	return 0;
}

#endif

/* bufring_priv.h - the state of each buffer; for bufring*.c only */
#ifndef WEIR_URING_BUFRING_PRIV_H
#define WEIR_URING_BUFRING_PRIV_H

#include "bufring.h"

/* Where a buffer is:
 *
 *     OURS --lend--> LENT --first bytes--> SHARED --no more--> OURS
 *                      +------ all of it, at once ---------------^
 *
 * SHARED (incremental rings only): readers hold a part while the kernel fills
 * the rest. A buffer is lent again when it is OURS and ref_count is 0.
 */
enum wi_bufring_state {
	WI_BUFRING_OURS = 0,
	WI_BUFRING_LENT,
	WI_BUFRING_SHARED,
};

struct wi_bufring_slot {
	uint32_t at_bytes;  /* where the next bytes will go */
	uint32_t end_bytes; /* as lent */
	uint16_t next_id;   /* lent right after this one (ring order) */
	uint16_t ref_count; /* completions not done, and holders */
	uint8_t state;      /* enum wi_bufring_state */
};

_Static_assert(sizeof(struct wi_bufring_slot) == 16, "as bufring.h says");

/* Lends a buffer, and records it. */
void wi_bufring_lend(struct weir_bufring *bufring, uint16_t id,
		     uint32_t byte_count);

#endif

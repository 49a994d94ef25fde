/* cases.h - small stories with a script, for runs that try everything
 *
 *     peers:  connect - write 5 - read 5 - FIN - read to the end
 *     server: echo; closes after so many bytes; stops after so many turns
 *
 * Sizes, peers and their manners are fixed: a tape says only what happens in
 * which order. An empty tape is the benign run.
 */
#ifndef WEIR_SIM_CASES_H
#define WEIR_SIM_CASES_H

#include "plan.h"

#include "../../net/loop.h"

enum sim_act_kind {
	SIM_ACT_END = 0,
	SIM_ACT_CONNECT,
	SIM_ACT_WRITE,    /* count: so many bytes */
	SIM_ACT_READ,     /* count: so many have been read in all */
	SIM_ACT_READ_END, /* up to FIN, or a reset */
	SIM_ACT_FIN,
	SIM_ACT_RST,
	SIM_ACT_QUIET, /* count: ms; until the loop wakes after that */
	SIM_ACT_REST,  /* count: ms; it is awake when they are over */
	SIM_ACT_MUTE,  /* neither reads nor closes from here on */
};

struct sim_act {
	enum sim_act_kind kind;
	uint32_t count;
};

enum { SIM_CASE_PEERS = 3, SIM_CASE_ACTS = 12, SIM_CASE_TURNS_MAX = 3000 };

/* Zero: not so. */
struct sim_case {
	const char *name;
	const char *what;
	bool is_canonical;      /* one of those on which all pairs are run */
	bool may_lose;          /* peers need not be echoed in full */
	uint32_t close_after;   /* bytes shown of a connection: it is closed */
	uint32_t abort_after;   /* the same, aborted */
	uint32_t stop_turn;     /* of the loop, while peers talk */
	uint32_t force_turn;    /* asked to stop once more */
	uint32_t outbound;      /* connections to its own listener */
	uint32_t outbound_turn; /* in which they are begun; 0: at the start */
	uint32_t abort_turn;    /* outbound ones are aborted */
	uint32_t turns_drawn;   /* the tape adds up to so many to these turns */
	bool wakes;             /* its doorbell rings, again and again */
	uint32_t sample_every;  /* accepted connection */
	bool sends_twice;       /* in two chunks of the queue: gathered */
	uint32_t reserve_bytes; /* for each answer, however short it is */
	uint32_t faults;        /* WEIR_FAULT_*, that the tape may use */
	weir_rung_set rungs_off;
	struct weir_sim_opts world;
	struct weir_loop_opts loop;  /* kernel and rings are filled in */
	struct weir_service service; /* handlers and timeouts are, too */
	struct sim_act peers[SIM_CASE_PEERS][SIM_CASE_ACTS];
};

extern const struct sim_case sim_cases[];
extern const uint32_t sim_case_count;

/* NULL: none has this name. */
const struct sim_case *sim_case_find(const char *name);

struct sim_case_result {
	const char *violation; /* NULL: none */
	uint64_t hash;
	uint64_t turns;
	bool hangs; /* it did not end */
	int err;    /* with which the loop ended */
	struct weir_loop_stats stats;
};

/* Plays @tape in @sim, which is reset, under @plan. */
void sim_case_play(const struct sim_case *what, struct weir_sim *sim,
		   struct weir_tape *tape, struct sim_plan *plan, FILE *story,
		   struct sim_case_result *out_result);

#endif

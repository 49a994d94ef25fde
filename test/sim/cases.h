/* cases.h - small scripted stories, for exhaustive runs
 *
 *     peers:  connect - write 5 - read 5 - FIN - read to the end
 *     server: echo; closes after so many bytes; stops after so many turns
 *
 * Sizes, peers and their behaviour are fixed: the tape decides only the order
 * of events. An empty tape is the benign run.
 */
#ifndef WEIR_SIM_CASES_H
#define WEIR_SIM_CASES_H

#include "plan.h"

#include "../../net/loop.h"

enum sim_act_kind {
	SIM_ACT_END = 0,
	SIM_ACT_CONNECT,
	SIM_ACT_WRITE,    /* count: bytes */
	SIM_ACT_READ,     /* count: until so many bytes are read in all */
	SIM_ACT_READ_END, /* up to a FIN or a reset */
	SIM_ACT_FIN,
	SIM_ACT_RST,
	SIM_ACT_QUIET, /* count: ms; then until the loop wakes */
	SIM_ACT_REST,  /* count: ms; the loop wakes by their end */
	SIM_ACT_MUTE,  /* no reads and no close from here on */
};

struct sim_act {
	enum sim_act_kind kind;
	uint32_t count;
};

enum { SIM_CASE_PEERS = 3, SIM_CASE_ACTS = 12, SIM_CASE_TURNS_MAX = 3000 };

/* Zero switches a field off. */
struct sim_case {
	const char *name;
	const char *what;
	bool is_canonical;      /* pairs of faults run on this case */
	bool may_lose;          /* peers may miss a part of their echo */
	uint32_t close_after;   /* bytes shown; then a close */
	uint32_t abort_after;   /* the same, but aborted */
	uint32_t stop_turn;     /* turn of the loop, while peers talk */
	uint32_t force_turn;    /* turn in which it is stopped once more */
	uint32_t outbound;      /* connections to its own listener */
	uint32_t outbound_turn; /* turn in which they begin; 0: at the start */
	uint32_t abort_turn;    /* turn in which outbound ones are aborted */
	uint32_t turns_drawn;   /* the tape adds 0 to so many to these turns */
	bool wakes;             /* its doorbell rings again and again */
	uint32_t sample_every;  /* accepted connections per sample */
	bool sends_twice;       /* the answer spans two chunks: gathered */
	uint32_t reserve_bytes; /* for each answer, even a short one */
	uint32_t faults;        /* WEIR_FAULT_* that the tape may use */
	weir_rung_set rungs_off;
	struct weir_sim_opts world;
	struct weir_loop_opts loop;  /* kernel and rings are filled in */
	struct weir_service service; /* handlers and timeouts are, too */
	struct sim_act peers[SIM_CASE_PEERS][SIM_CASE_ACTS];
};

extern const struct sim_case sim_cases[];
extern const uint32_t sim_case_count;

/* NULL: unknown name. */
const struct sim_case *sim_case_find(const char *name);

struct sim_case_result {
	const char *violation; /* NULL: none */
	uint64_t hash;
	uint64_t turns;
	bool hangs; /* the loop did not end */
	int err;    /* result of the loop */
	struct weir_loop_stats stats;
};

/* Resets @sim and plays @tape in it under @plan. */
void sim_case_play(const struct sim_case *what, struct weir_sim *sim,
		   struct weir_tape *tape, struct sim_plan *plan, FILE *story,
		   struct sim_case_result *out_result);

#endif

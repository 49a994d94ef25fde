/* diff.h - one script, two kernels: the same story?
 *
 *     script --> diff_play() --> a loop of net/ on the real kernel  --> story
 *           `--> diff_play() --> a loop of net/ on the simulated one -> story
 *                                                      diff_compare(both)
 *
 * One thread runs the clients' actions in the order of the script, and makes
 * the passes of the loop. "Settle" makes passes until nothing more happens.
 * Actions without a settle between them race with each other and with the loop.
 *
 * A story is what an outside observer can see: the bytes that each side has
 * got, the callbacks, the reason of each close, counters. What the two kernels
 * may do differently is a row of diff_freedoms.
 */
#ifndef WEIR_TEST_DIFF_H
#define WEIR_TEST_DIFF_H

#include "../sim/sim.h"

#include "net/loop.h"

enum {
	DIFF_CONNS = 3,
	DIFF_ACTIONS = 64,
	DIFF_SETTLES = DIFF_ACTIONS + 1,
	DIFF_EVENTS = 512,
	DIFF_TEXT_BYTES = 4096,
};

/* ---- scripts ------------------------------------------------------------- */

enum diff_what {
	DIFF_CONNECT,
	DIFF_WRITE, /* amount: bytes */
	DIFF_READ,  /* read everything, until it settles */
	DIFF_FIN,   /* shutdown(SHUT_WR) */
	DIFF_RST,   /* close with a linger time of 0 */
	DIFF_HANG_UP,
	DIFF_PAUSE, /* amount: ms */
	DIFF_SETTLE,
	DIFF_STOP, /* the loop */
	DIFF_WHAT_COUNT
};

struct diff_action {
	enum diff_what what;
	uint32_t conn;
	uint32_t amount;
};

enum diff_then {
	DIFF_GO_ON = 0,
	DIFF_CLOSE,
	DIFF_ABORT,
	DIFF_REFUSE,
};

/* The handler's behaviour on each connection. */
struct diff_reaction {
	uint32_t greet_bytes; /* sent by on_open */
	bool is_mute;         /* uses the bytes, and sends no answer */
	uint32_t frame_bytes; /* uses whole frames only; 0: all */
	uint32_t high_bytes;  /* of the send queue; 0: more than is sent */
	uint32_t at_bytes;    /* after using so many bytes, 0: in on_open ... */
	enum diff_then then;  /* ... it does this */
};

struct diff_script {
	struct diff_reaction reaction;
	struct diff_action actions[DIFF_ACTIONS];
	uint32_t action_count;
};

/* "c w10 . r 1:c f x h p500 s", each an action, with a connection in front if
 * it is not 0: connect, write, settle, read, FIN, RST, hang up, pause, stop. */
void diff_parse(struct diff_script *out_script, const char *text);

/* The inverse of diff_parse(); returns @out_text, of DIFF_TEXT_BYTES. */
char *diff_print(const struct diff_script *script, char *out_text);

/* Draws a script from a tape. */
void diff_draw(struct diff_script *out_script, struct weir_tape *tape);

/* ---- stories ------------------------------------------------------------- */

enum diff_end { DIFF_NO_END = 0, DIFF_END_FIN, DIFF_END_RST };

struct diff_conn {
	char events[DIFF_EVENTS]; /* o: on_open, d: on_data, any number,
				   * r: on_writable, c: on_close */
	uint64_t shown_bytes;
	uint64_t received_bytes; /* by the client */
	bool is_wrong;           /* the handler or the client got a wrong
				  * byte */
	enum diff_end end;       /* as the client saw it */
	struct weir_close_reason reason;
};

struct diff_story {
	struct diff_conn settled[DIFF_SETTLES][DIFF_CONNS];
	uint32_t settle_count;
	struct weir_loop_stats stats;
	bool has_ended;    /* the loop, within bounds */
	bool is_any_order; /* simulated, and not in the benign order */
};

/* ---- kernels ------------------------------------------------------------- */

struct diff_world {
	const struct weir_kernel *kernel;
	void *ctx;
	/* The client's side of connection @conn. As sim.h's. */
	int (*connect)(void *ctx, uint32_t conn, uint16_t port);
	int (*write)(void *ctx, uint32_t conn, const uint8_t *bytes,
		     uint32_t byte_count);
	int (*read)(void *ctx, uint32_t conn, uint8_t *bytes,
		    uint32_t byte_count);
	void (*fin)(void *ctx, uint32_t conn);
	void (*rst)(void *ctx, uint32_t conn);
	void (*hang_up)(void *ctx, uint32_t conn);
	/* Time passes without any action. */
	void (*pass)(void *ctx, uint64_t ns);
	/* True if nothing more can happen; called after each pass. */
	bool (*is_settled)(void *ctx, bool is_as_expected);
};

/* The real kernel, and the simulated one on @sim. */
struct diff_world *diff_real_open(void);
void diff_real_close(struct diff_world *world);
struct diff_world *diff_sim_open(void);
void diff_sim_close(struct diff_world *world);
/* Restarts the simulation with this tape; NULL: the benign tape, with a wire
 * like loopback. */
void diff_sim_start(struct diff_world *world, struct weir_tape *tape);

/* @expected: the story to wait for at each settle; NULL: unknown. */
void diff_play(const struct diff_world *world, const struct diff_script *script,
	       const struct diff_story *expected, struct diff_story *out_story);

/* ---- comparison ---------------------------------------------------------- */

/* What may differ. */
enum {
	DIFF_MAY_SHOW = 1 << 0,    /* how many bytes the handler gets */
	DIFF_MAY_RECEIVE = 1 << 1, /* how many bytes the client gets */
	DIFF_MAY_END = 1 << 2,     /* whether the client sees a FIN or a RST */
	DIFF_MAY_REASON = 1 << 3,
	DIFF_MAY_EVENTS = 1 << 4,     /* all but on_open and on_close */
	DIFF_MAY_DISCARD = 1 << 5,    /* the counter of discarded bytes */
	DIFF_MAY_HALF_CLOSE = 1 << 6, /* the counter of those */
	DIFF_MAY_DRAIN = 1 << 7,      /* how often on_writable is called */
	DIFF_MAY_ALL = (1 << 8) - 1,
};

/**
 * struct diff_freedom - one difference that is allowed between kernels
 * @may: DIFF_MAY_*
 * @has: true if @script allows it for @conn
 *
 * They apply to a simulation that draws its order from a tape. The benign
 * simulation, over a wire without delay, is like loopback and has none.
 */
struct diff_freedom {
	const char *name;
	const char *reason;
	uint32_t may;
	bool (*has)(const struct diff_script *script, uint32_t conn);
};
extern const struct diff_freedom diff_freedoms[];
extern const uint32_t diff_freedom_count;

/* Return: true if connection @conn differs at one settle by more than the
 * freedoms allow; the difference goes to @out_text, unless it is NULL. */
bool diff_settle_differs(const struct diff_script *script, bool is_any_order,
			 uint32_t conn, const struct diff_conn *sim,
			 const struct diff_conn *real, char *out_text);
bool diff_differs(const struct diff_script *script,
		  const struct diff_story *sim, const struct diff_story *real,
		  char *out_text);

#endif

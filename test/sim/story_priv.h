/* story_priv.h - what the stories share: a run, its peers, the echo server
 *
 *     story_<name>.c  one story: handlers, and its course
 *     story.c         a run: draw, loops, turns, stop, final checks
 *     peers.c         clients that send a pattern and read it back
 *     echo.c          handlers that send back what they are shown
 */
#ifndef WEIR_SIM_STORY_PRIV_H
#define WEIR_SIM_STORY_PRIV_H

#include "story.h"

#include "../../net/loop.h"

enum {
	RUN_PEERS = 4,
	RUN_LOOPS = 3,
	RUN_PORT = 7000,
	/* Clock readings may be wrong by more than a tick. */
	RUN_FAULTS_CLOCK = WEIR_FAULT_CLOCK | WEIR_FAULT_STILL,
};

enum peer_state {
	PEER_WAITING = 0, /* to connect */
	PEER_TALKING,
	PEER_FINISHED, /* its FIN is sent: it still reads */
	PEER_DONE,
};

struct peer {
	struct sim_run *run;
	uint32_t id;
	enum peer_state state;
	int conn;
	uint32_t total; /* bytes to send; the first is its id */
	uint32_t sent;
	uint32_t received;
	bool is_lost;          /* by a reset, its own or the server's */
	bool is_rude;          /* may reset, and may be closed early */
	bool is_mute;          /* sends and reads nothing from some time on */
	bool is_polite;        /* the server closes after it has shown all */
	bool is_greedy;        /* reads only when it cannot write */
	uint64_t at_moved;     /* it connects once run->moved is that high */
	bool has_rested;       /* in its last step */
	uint32_t pause_ms_max; /* pause while it talks; 0: none */

	/* The server's side of it. */
	bool was_shown;
	bool was_closed;             /* by the handler */
	const struct run_loop *home; /* the loop whose handler saw it */

	uint32_t shown;
	uint32_t owed; /* sent by a free handler, counted at its end */
	bool has_owed;
	bool is_owed_all; /* its close loses no bytes */
	bool saw_fin;
};

/* A loop and its thread. */
struct run_loop {
	struct sim_run *run;
	struct weir_loop *loop;
	struct weir_loop_stats stats; /* once it is closed */
	int listener_fd;
	size_t conn_bytes_max; /* block memory, by the formula */
	bool is_stopping;
	bool is_over;      /* it has ended */
	bool is_timed_out; /* -ETIMEDOUT: an operation never completed */
};

struct sim_run {
	struct weir_sim *sim;
	struct weir_tape *tape;
	struct sim_story_result *result;
	struct run_loop loops[RUN_LOOPS];
	uint32_t loop_count;
	struct weir_service service; /* for all connections */
	uint32_t faults;             /* of phase one */

	struct peer peers[RUN_PEERS];
	uint32_t peer_count;
	bool is_free;     /* the handler sends what it likes: no echo */
	bool is_ending;   /* run_end() has begun */
	bool takes_all;   /* the echo handler always takes all bytes */
	bool stops_early; /* while peers talk */
	bool has_rude;
	bool is_strict; /* a listener's end refuses and resets no client */

	bool is_healed;

	bool is_stopping;                           /* one of the loops */
	bool (*is_done)(const struct sim_run *run); /* NULL: peers are */
	void *ctx;                                  /* the story's */
	void (*on_turn)(void *ctx); /* after each turn of a loop; or NULL */

	size_t mapped_bytes; /* once all loops are open */

	uint64_t moved;          /* actions of the program and its peers */
	uint64_t patience_said;  /* bytes, at the last look of the clients */
	uint32_t patience_quiet; /* looks without new bytes since */

	uint64_t outbound; /* connections that the program began */
	uint64_t opens;
	uint64_t closes;
	uint64_t echoed_bytes;
};

/* One of @choices, the first if the tape is benign. */
uint32_t run_draw(struct weir_tape *tape, const uint32_t *choices,
		  uint32_t count);

#define RUN_DRAW(tape, ...)                                                    \
	run_draw(tape, (const uint32_t[]){ __VA_ARGS__ },                      \
		 sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* ---- story.c ---- */

/* Sizes from the tape, for a loop and for run->service, and the timeouts that
 * all stories use. */
struct weir_loop_opts run_draw_loop(struct sim_run *run);
/* Opens and enables a loop that listens on RUN_PORT; all loops of a run are one
 * group. False: a violation. */
bool run_open(struct sim_run *run, const struct weir_loop_opts *opts,
	      const struct weir_handlers *handlers, void *ctx);
struct run_loop *run_loop_of(struct sim_run *run, const struct weir_loop *loop);
/* A loop of the run lost a slot for good, since an operation never completed.
 */
bool run_has_timed_out(const struct sim_run *run);
/* weir_loop_stop(), from any thread. */
void run_stop_loop(struct run_loop *loop);
/* Phase one and phase two begin. */
void run_faults(struct sim_run *run);
void run_heal(struct sim_run *run);
/* Turns until the peers are done, a rule is broken, nothing can happen, or
 * @turns are over. Return: false if the peers are not done. */
bool run_turns(struct sim_run *run, uint32_t turns);
/* Phase one: faults for some turns, or fewer if the tape says so. Phase two: no
 * faults, and all peers that can finish must. */
void run_two_phases(struct sim_run *run);
/* Stops and closes the loops and checks what they leave behind. */
void run_end(struct sim_run *run);

/* ---- peers.c ---- */
uint8_t peer_pattern(uint32_t id, uint32_t at);
void peer_say(uint32_t id, uint32_t at, uint8_t *out_bytes,
	      uint32_t byte_count);
/* A violation unless these bytes are the next ones of @peer. */
void peer_check_shown(const struct peer *peer, const uint8_t *bytes,
		      size_t byte_count);
/* The peer whose first byte is @id, once; NULL: a violation. */
struct peer *peer_find(struct sim_run *run, uint8_t id);
void peers_start(struct sim_run *run);
/* Closes all peers that are not done: they have waited long enough. */
void peers_hang_up(struct sim_run *run);
bool peers_are_done(const struct sim_run *run);

/* ---- echo.c ---- */
extern const struct weir_handlers echo_handlers; /* ctx: struct sim_run */

/* ---- story_*.c ---- */
void story_echo(struct sim_run *run);
void story_close(struct sim_run *run);
void story_deadline(struct sim_run *run);
void story_stop(struct sim_run *run);
void story_handover(struct sim_run *run);
void story_misuse(struct sim_run *run);
void story_outbound(struct sim_run *run);

#endif

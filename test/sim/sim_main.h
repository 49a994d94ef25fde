/* sim_main.h - your program that plays worlds, in one call
 *
 *     seeds --> worlds --> a rule is broken --> the smallest tape --> its story
 *
 *     ./simulate                   a thousand seeds, to the first failure
 *     ./simulate --seed 17         that one, step by step
 *     ./simulate --tape 0081ff     that failure again, from one line
 *     ./simulate --help
 *
 * tools/examples/sim.c is all of it. Who has a main() of their own needs sim.h
 * and tape.h alone.
 */
#ifndef WEIR_SIM_MAIN_H
#define WEIR_SIM_MAIN_H

#include "sim.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_loop;
struct weir_service;

/**
 * weir_sim_play_fn - one world, from nothing to nothing
 * @sim: as new, with its tape and its faults; not to be closed
 * @ctx: of weir_sim_main()
 *
 * Opens loops with weir_sim_kernel() as their kernel, gives them peers, turns
 * them until they have ended, and closes them. What it finds wrong it tells by
 * weir_sim_violate().
 *
 * Called some hundred times more for a tape that fails, to make it smaller: it
 * must do the same for the same tape. So its state begins anew in each call,
 * its time is weir_sim_now_ns(), and its choices come from weir_sim_tape(). An
 * assert() that fails in it, or in weir, is a broken rule as well, and so is a
 * second of CPU time, since a world takes a millisecond at most: it goes round
 * for ever. The call is then left by siglongjmp(3).
 */
typedef void (*weir_sim_play_fn)(struct weir_sim *sim, void *ctx);

/**
 * weir_sim_main() - worlds by the command line; for the end of main()
 * @opts: of every world; NULL for all defaults. Its @story is not used
 * @play: called on this thread, once for each world
 *
 * It prints on stdout. Of a rule that was broken it tells the seed, the rule,
 * the story of the smallest tape that breaks it, and the command that plays
 * that again. If the program dies in a world, by a signal or by a sanitizer,
 * it tells the command on stderr.
 *
 * Return: the exit status of the program: 0: no rule was broken; 1: one was,
 *         or there is no memory for a world; 2: wrong options. Thread: one at
 *         a time, the only one of the process.
 */
int weir_sim_main(int argc, char **argv, const struct weir_sim_opts *opts,
		  weir_sim_play_fn play, void *ctx);

/**
 * weir_sim_serve() - the life of one loop: listen, and turn until it has ended
 * @loop:    not enabled yet; stays the caller's to close
 * @service: of the connections that come in; NULL: it does not listen
 * @port:    on 127.0.0.1, host order
 *
 * The peers are there before (weir_sim_on_step()), and one of them, or a
 * handler, calls weir_loop_stop() when all is said. If nothing can ever happen
 * any more, after 100,000 turns, or if the loop fails, that is a broken rule.
 *
 * Return: 0: the loop has ended; -EPROTO: a rule was broken: see
 *         weir_sim_violation(). Thread: the world's.
 */
int weir_sim_serve(struct weir_sim *sim, struct weir_loop *loop,
		   const struct weir_service *service, uint16_t port);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif

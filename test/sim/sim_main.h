/* sim_main.h - your program plays simulated worlds, in one call
 *
 *     seeds --> worlds --> a rule is broken --> the smallest tape --> its story
 *
 *     ./simulate                   a thousand seeds, to the first failure
 *     ./simulate --seed 17         that one, step by step
 *     ./simulate --tape 0081ff     that failure again, from one line
 *     ./simulate --help
 *
 * tools/examples/sim.c is a complete program. With a main() of your own, sim.h
 * and tape.h are enough.
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
 * weir_sim_play_fn - plays one world, from an empty one to an empty one
 * @sim: as new, with its tape and its faults; do not close it
 * @ctx: of weir_sim_main()
 *
 * Opens loops with weir_sim_kernel() as their kernel, adds peers, turns the
 * loops until they have ended, and closes them. It reports what is wrong by
 * weir_sim_violate().
 *
 * To make a failing tape smaller, the function is called some hundred times
 * more. It must do the same for the same tape: its state begins anew in each
 * call, its time is weir_sim_now_ns(), and its choices come from
 * weir_sim_tape(). A failing assert(), in it or in weir, is a broken rule. So
 * is a second of CPU time: a world takes a millisecond at most, so this one is
 * in an endless loop. Then siglongjmp(3) leaves the call.
 */
typedef void (*weir_sim_play_fn)(struct weir_sim *sim, void *ctx);

/**
 * weir_sim_main() - plays worlds as the command line says; the end of main()
 * @opts: of every world; NULL for all defaults. Its @story is not used
 * @play: called on this thread, once for each world
 *
 * It prints on stdout. For a broken rule it prints the seed, the rule, the
 * story of the smallest tape that breaks it, and the command that plays it
 * again. If the program dies in a world, by a signal or by a sanitizer, it
 * prints the command on stderr.
 *
 * Return: the exit status of the program: 0: no rule was broken; 1: one was,
 *         or there is no memory for a world; 2: wrong options. Thread: one at
 *         a time, the only one of the process.
 */
int weir_sim_main(int argc, char **argv, const struct weir_sim_opts *opts,
		  weir_sim_play_fn play, void *ctx);

/**
 * weir_sim_serve() - runs one loop: it listens, and turns until it has ended
 * @loop:    not enabled yet; stays the caller's to close
 * @service: of accepted connections; NULL: it does not listen
 * @port:    on 127.0.0.1, host order
 *
 * Add the peers before (weir_sim_on_step()). A peer or a handler ends the run
 * by weir_loop_stop(). It is a broken rule if nothing can ever happen again, if
 * the loop has not ended after 100,000 turns, or if it fails.
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

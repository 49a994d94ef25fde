/* watch.h - a world that fails an assertion, never ends, or kills its process
 *
 *     play --> returns                             NULL
 *          --> abort(3)                            sim_assert_rule()
 *          --> still running two intervals later   sim_watch_endless
 *          --> SIGSEGV, a sanitizer's exit         on_death(), then it dies
 *
 * For the whole process, which has one thread. siglongjmp(3) leaves an abort
 * and an endless play: what they held is lost. (ThreadSanitizer delays the
 * signal for a loop that makes no calls.)
 */
#ifndef WEIR_SIM_WATCH_H
#define WEIR_SIM_WATCH_H

extern const char sim_watch_endless[];

/* Active until sim_watch_close(); after a fork, call it again in the child.
 * @on_death: called when the process dies during a play; it may do what a
 * signal handler may. NULL: none. */
void sim_watch_open(void (*on_death)(void));
void sim_watch_close(void);

/* Return: the rule that it broke in this way, valid until the next play; NULL:
 * it returned. */
const char *sim_watch_play(void (*play)(void *ctx), void *ctx);

#endif

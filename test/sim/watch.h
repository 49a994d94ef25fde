/* watch.h - a world that fails an assertion, never ends, or takes its process
 * with it
 *
 *     play --> returns                             NULL
 *          --> abort(3)                            sim_assert_rule()
 *          --> still at it two intervals later     sim_watch_endless
 *          --> SIGSEGV, the end by a sanitizer     on_death(), then it dies
 *
 * For the whole process, of one thread. An abort and an endless play are left
 * by siglongjmp(3): what they held is lost. (ThreadSanitizer holds the signal
 * back from who is endless without a call.)
 */
#ifndef WEIR_SIM_WATCH_H
#define WEIR_SIM_WATCH_H

extern const char sim_watch_endless[];

/* From now on, up to sim_watch_close(); in the child of a fork once more.
 * @on_death: is told amid a play, and may do what a signal handler may; NULL:
 * the process dies as it would without. */
void sim_watch_open(void (*on_death)(void));
void sim_watch_close(void);

/* Return: the rule that it broke, up to the next play; NULL: it returned. */
const char *sim_watch_play(void (*play)(void *ctx), void *ctx);

#endif

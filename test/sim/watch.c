/* watch.c - see watch.h */
#include "watch.h"

#include "sim_assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>

/* A world takes several times as long where the compiler does not optimise and
 * gcov counts. */
#ifdef __OPTIMIZE__
#define ENDLESS_TIMES 1
#else
#define ENDLESS_TIMES 4
#endif

enum {
	US_PER_S = 1000 * 1000,
	/* CPU time; a world takes about a millisecond, and half a second where
	 * it waits for an operation that never completes. */
	ENDLESS_US = ENDLESS_TIMES * 900 * 1000,
	ENDLESS_MORE_US = 100 * 1000, /* after one there may be many more */
};

const char sim_watch_endless[] = "a world goes on for ever";

static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

static struct {
	void (*on_death)(void);
	sigjmp_buf leave;
	volatile sig_atomic_t is_playing;
	volatile sig_atomic_t number, number_seen; /* of plays */
} watch;

enum { RETURNED, ABORTED, ENDLESS };

/* Defined by the runtime of a sanitizer. */
void __sanitizer_set_death_callback(void (*callback)(void))
	__attribute__((weak));

static void tell_death(void)
{
	if (watch.is_playing && watch.on_death != NULL)
		watch.on_death();
}

/* SA_RESETHAND: once it returns, the signal has its default action. */
static void handle_fault(int number)
{
	tell_death();
	(void)raise(number);
}

static void handle_abort(int number)
{
	(void)number;
	if (watch.is_playing)
		siglongjmp(watch.leave, ABORTED);
}

static void handle_tick(int number)
{
	(void)number;
	if (watch.is_playing && watch.number == watch.number_seen)
		siglongjmp(watch.leave, ENDLESS);
	watch.number_seen = watch.number;
}

/* 0: stop. */
static void tick_every(long interval_us)
{
	const struct timeval interval = {
		.tv_sec = interval_us / US_PER_S,
		.tv_usec = interval_us % US_PER_S,
	};
	const struct itimerval every = {
		.it_interval = interval,
		.it_value = interval,
	};
	(void)setitimer(ITIMER_VIRTUAL, &every, NULL);
}

/* An existing handler, such as a sanitizer's, stays. */
static void faults_handle(void (*from)(int), const struct sigaction *to)
{
	struct sigaction before;
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		if (sigaction(deadly[i], NULL, &before) == 0 &&
		    before.sa_handler == from)
			(void)sigaction(deadly[i], to, NULL);
}

void sim_watch_open(void (*on_death)(void))
{
	const struct sigaction on_abort = { .sa_handler = handle_abort };
	const struct sigaction on_tick = { .sa_handler = handle_tick,
					   .sa_flags = SA_RESTART };
	const struct sigaction on_fault = { .sa_handler = handle_fault,
					    .sa_flags = (int)SA_RESETHAND };
	watch.on_death = on_death;
	(void)sigaction(SIGABRT, &on_abort, NULL);
	(void)sigaction(SIGVTALRM, &on_tick, NULL);
	tick_every(ENDLESS_US);
	if (on_death == NULL)
		return;
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(tell_death);
	faults_handle(SIG_DFL, &on_fault);
}

void sim_watch_close(void)
{
	const struct sigaction unhandled = { .sa_handler = SIG_DFL };
	tick_every(0);
	(void)sigaction(SIGABRT, &unhandled, NULL);
	faults_handle(handle_fault, &unhandled);
}

const char *sim_watch_play(void (*play)(void *ctx), void *ctx)
{
	const int cause = sigsetjmp(watch.leave, 1);
	if (cause == RETURNED) {
		sim_assert_forget();
		watch.number++;
		watch.is_playing = true;
		play(ctx);
		watch.is_playing = false;
		return NULL;
	}
	watch.is_playing = false;
	if (cause == ABORTED)
		return sim_assert_rule();
	tick_every(ENDLESS_MORE_US);
	return sim_watch_endless;
}

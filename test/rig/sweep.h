/* sweep.h - shared by the sweeps over a whole server
 *
 *     sweep_start()  weir-echo, with the faults that its arguments select
 *     sweep_talk()   a small load that accepts a lost connection, but never a
 *                    wrong byte
 *     sweep_end()    how it ended, within SWEEP_PATIENCE_MS
 *
 * The calls fail the running test with a message that starts with the current
 * case: sweep_now_trying().
 */
#ifndef WEIR_TEST_SWEEP_H
#define WEIR_TEST_SWEEP_H

#include "program.h"

enum {
	SWEEP_PATIENCE_MS = 120000, /* far longer than any correct run */
	SWEEP_TALK_CONNS = 3,
	SWEEP_TALK_REQUESTS = 4, /* of each client */
	SWEEP_TEST_TIMEOUT_S = 120,
};

/* Sets the start of all later messages, as printf does. */
void sweep_now_trying(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
const char *sweep_tried(void);

/* As echo_program(), but the port is 0 if the server ends before it serves. */
struct program sweep_start(const char *const *args);
struct program sweep_start_after(void (*prepare)(void),
				 const char *const *args);

/* As program_join(), but a server that hangs fails the test. */
void sweep_end(struct program *program, struct outcome *outcome);

/* Waits until @fd is readable or has ended; a hang fails the test. */
void sweep_await(int fd);

/* True: every request was answered. False: a connection was refused or ended
 * early, but all bytes before that were right. */
bool sweep_talk(uint16_t port);

/* Checks a server that served: status 0, nothing on stderr, and in echo.json no
 * connection, no block of memory, as many closes as accepts, one reason for
 * each. Returns the JSON; the caller frees it. */
char *sweep_expect_clean(const struct outcome *outcome);

/* The number in "total" of @json. */
#define TOTAL(json, ...) NUMBER(strstr(json, "\"total\""), __VA_ARGS__)

/* Checks a program that could not do its work: status 1 and one line on stderr
 * that starts with its name. */
void sweep_expect_refusal(const struct outcome *outcome);

#endif

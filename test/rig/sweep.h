/* sweep.h - what the sweeps over a whole server share
 *
 *     sweep_start()  weir-echo, in whatever trouble its arguments make for it
 *     sweep_talk()   a small load that takes a cut for an answer, but never a
 *                    wrong byte
 *     sweep_end()    how it ended, within SWEEP_PATIENCE_MS
 *
 * The calls fail the running test with a sentence that begins with what was
 * being tried: sweep_now_trying().
 */
#ifndef WEIR_TEST_SWEEP_H
#define WEIR_TEST_SWEEP_H

#include "program.h"

enum {
	SWEEP_PATIENCE_MS = 120000, /* longer than anything that works takes */
	SWEEP_TALK_CONNS = 3,
	SWEEP_TALK_REQUESTS = 4, /* of each of them */
	SWEEP_TEST_TIMEOUT_S = 120,
};

/* For the messages of all that follows, as printf does. */
void sweep_now_trying(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
const char *sweep_tried(void);

/* As echo_program(), but a server that ends before it serves has port 0. */
struct program sweep_start(const char *const *args);
struct program sweep_start_after(void (*prepare)(void),
				 const char *const *args);

/* As program_join(), but a server that hangs fails the test. */
void sweep_end(struct program *program, struct outcome *outcome);

/* Until @fd can be read, or has ended; a hang fails the test. */
void sweep_await(int fd);

/* All that was asked was answered: true. False: a connection was refused, or
 * ended early. What came in front of that was right. */
bool sweep_talk(uint16_t port);

/* What a server that served must show: status 0, nothing on stderr, and in
 * echo.json no connection, no block of memory, as many closes as accepts, one
 * reason for each. Returns the JSON; the caller frees it. */
char *sweep_expect_clean(const struct outcome *outcome);

/* The number in "total" of @json. */
#define TOTAL(json, ...) NUMBER(strstr(json, "\"total\""), __VA_ARGS__)

/* What a program that could not do its work must show: status 1 and one line
 * on stderr that begins with its name. */
void sweep_expect_refusal(const struct outcome *outcome);

#endif

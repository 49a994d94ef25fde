/* diff_cases.c - named scripts: important orders of closes and resets
 *
 * c connect, w write, r read, f FIN, x RST, h hang up, p pause in ms, . settle,
 * s stop the loop.
 */
#include "diff_cases.h"

#define ECHO                                                                   \
	{                                                                      \
		.greet_bytes = 0                                               \
	}
#define MUTE                                                                   \
	{                                                                      \
		.is_mute = true                                                \
	}

const struct diff_case diff_cases[] = {
	/* The client ends first. */
	{ "nothing is said", ECHO, "c . h ." },
	{ "a FIN and nothing else", ECHO, "c . f . r ." },
	{ "a RST and nothing else", ECHO, "c . x ." },
	{ "an echo, then the end", ECHO, "c . w10 . r . h ." },
	{ "an echo, a half-close, the end", ECHO, "c . w10 . r . f . r . h ." },
	{ "an echo, then a RST", ECHO, "c . w10 . r . x ." },
	{ "a FIN right behind the bytes", ECHO, "c . w10 f . r . h ." },
	{ "bytes and FIN before it is accepted", ECHO, "c w10 f . r . h ." },
	{ "bytes before it is accepted", ECHO, "c w10 . r . h ." },
	{ "gone before it is accepted", ECHO, "c h ." },
	{ "bytes, and gone before it is accepted", MUTE, "c w10 h ." },
	{ "reset before it is accepted", ECHO, "c x ." },
	{ "bytes and RST before it is accepted", MUTE, "c w14 x . p1200 ." },
	{ "answered bytes and RST before it is accepted", ECHO,
	  "c w14 x . p1200 ." },
	{ "a RST right behind the bytes", MUTE, "c . w14 x ." },
	{ "a RST right behind bytes that are answered", ECHO, "c . w14 x ." },
	{ "a hang-up with the echo unread", ECHO, "c . w10 . h ." },
	{ "a half-close with the echo unread", ECHO, "c . w10 . f . h ." },
	{ "a RST with the echo unread", ECHO, "c . w10 . x ." },
	{ "a RST behind a half-close", MUTE, "c . f . x ." },
	{ "a hang-up behind a half-close", ECHO, "c . f . h ." },
	{ "many buffers of bytes", ECHO, "c . w1500 . r . w1500 . r . h ." },
	{ "a message that is cut",
	  { .frame_bytes = 8 },
	  "c . w20 . r . f . r ." },
	{ "a message in three pieces",
	  { .frame_bytes = 30 },
	  "c . w10 . w10 . w10 . r . h ." },
	{ "a message that never ends",
	  { .frame_bytes = 100 },
	  "c . w50 . f . r ." },

	{ "paused by each answer",
	  { .high_bytes = 20 },
	  "c . w50 . w500 . r . w30 w30 f . r . h ." },
	{ "reset while paused", { .high_bytes = 20 }, "c . w500 x ." },
	{ "a FIN while paused", { .high_bytes = 20 }, "c . w500 f . r . h ." },

	/* The server ends first. */
	{ "closed at once", { .then = DIFF_CLOSE }, "c . r . h ." },
	{ "aborted at once", { .then = DIFF_ABORT }, "c . r . h ." },
	{ "refused at once", { .then = DIFF_REFUSE }, "c . r . h ." },
	{ "a greeting, then closed",
	  { .greet_bytes = 50, .then = DIFF_CLOSE },
	  "c . r . h ." },
	{ "a greeting, then aborted",
	  { .greet_bytes = 50, .then = DIFF_ABORT },
	  "c . r . h ." },
	{ "closed, and the client half-closes, then hangs up",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . r . f . r . h ." },
	{ "closed after an answer",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . r . h ." },
	{ "closed in the middle of what has come",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w20 . r . h ." },
	{ "closed, and more comes",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . w10 . w10 . r . h ." },
	{ "closed, and the client never ends",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . r . p1500 . r . h ." },
	{ "closed, and the client sends on for ever",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . p400 w5 . p400 w5 . p400 w5 . r . h ." },
	{ "closed, and the client resets",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . x ." },
	{ "closed, and the answer is never read",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 . h ." },
	{ "aborted after an answer",
	  { .at_bytes = 10, .then = DIFF_ABORT },
	  "c . w10 . r . h ." },
	{ "aborted in the middle of what has come",
	  { .at_bytes = 10, .then = DIFF_ABORT },
	  "c . w20 . r . h ." },
	{ "written to after an abort",
	  { .at_bytes = 10, .then = DIFF_ABORT, .is_mute = true },
	  "c . w10 . w10 . r . h ." },
	{ "refused after an answer",
	  { .at_bytes = 10, .then = DIFF_REFUSE },
	  "c . w10 . r . h ." },
	{ "both half-close at once",
	  { .at_bytes = 10, .then = DIFF_CLOSE },
	  "c . w10 f . r . h ." },

	/* Deadlines, and the loop's own end. */
	{ "idle", ECHO, "c . w10 . r . p6000 . r . h ." },
	{ "not idle: it talks", ECHO,
	  "c . p3000 w10 . r . p3000 w10 . r . h ." },
	{ "idle with unread answers", ECHO, "c . w10 . p6000 . r . h ." },
	{ "reset while quiet", ECHO, "c . w10 . r . p1200 . x . p1200 ." },
	{ "stopped with nobody there", ECHO, "s ." },
	{ "stopped, and the client ends", ECHO, "c . w10 . r . s . r . h ." },
	{ "stopped, and the client does not end", ECHO,
	  "c . w10 . r . s . r . p1500 . h ." },
	{ "stopped with bytes just come", ECHO, "c . w10 s . r . h ." },
	{ "stopped before the accept", ECHO, "c w10 s . r . h ." },
	{ "stopped, and reset", ECHO, "c . w10 . r . s . x ." },

	/* Several. */
	{ "two, one resets", ECHO,
	  "c 1:c . w10 1:w20 . x . 1:r . 1:w5 . 1:r . 1:h ." },
	{ "three, each its own way", ECHO,
	  "c . 1:c . 2:c . w10 1:w20 2:w30 . r . f . 1:x . 2:h . r . h ." },
	{ "a slot is used again", ECHO,
	  "c . w10 . r . h . 1:c . 1:w10 . 1:r . 1:x . 2:c . 2:w10 . 2:r . "
	  "2:h ." },
};

const int diff_case_count = sizeof(diff_cases) / sizeof(diff_cases[0]);

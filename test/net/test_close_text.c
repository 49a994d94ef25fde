/* test_close_text.c - why a connection ended, in words */
#include "../rig/support.h"
#include "../suites.h"
#include "net/conn.h"

#include <errno.h>

/* Written by hand: a changed name breaks the users' counters. */
static const struct {
	enum weir_close_cause cause;
	const char *name;
	const char *text;
} causes[] = {
	{ WEIR_CLOSE_NONE, "none", "still open" },
	{ WEIR_CLOSE_PEER, "peer", "the peer closed" },
	{ WEIR_CLOSE_RESET, "reset", "the peer reset the connection" },
	{ WEIR_CLOSE_LOCAL, "local", "closed by the handler" },
	{ WEIR_CLOSE_ABORTED, "aborted", "aborted by the handler" },
	{ WEIR_CLOSE_REFUSED, "refused", "the handler refused the input" },
	{ WEIR_CLOSE_STOPPED, "stopped", "the loop was stopped" },
	{ WEIR_CLOSE_IDLE, "idle", "nothing moved before the idle deadline" },
	{ WEIR_CLOSE_DRAIN_DEADLINE, "drain-deadline",
	  "the peer did not finish before the drain deadline" },
	{ WEIR_CLOSE_MESSAGE_LIMIT, "message-limit",
	  "the input needed more memory than a message may take" },
	{ WEIR_CLOSE_QUEUE_LIMIT, "queue-limit",
	  "the output was larger than the send queue may grow" },
	{ WEIR_CLOSE_MEMORY, "memory",
	  "the loop's block memory was exhausted" },
	{ WEIR_CLOSE_CONNECT, "connect", "the connection could not be made" },
	{ WEIR_CLOSE_ERROR, "error", "the kernel reported an error" },
};

enum { CAUSE_COUNT = sizeof(causes) / sizeof(causes[0]) };

START_TEST(close_cause_has_its_name_and_its_text)
{
	const struct weir_close_reason reason = { .cause = causes[_i].cause };
	char text[WEIR_CLOSE_TEXT_BYTES];
	ck_assert_int_eq(causes[_i].cause, _i);
	ck_assert_str_eq(weir_close_cause_name(causes[_i].cause),
			 causes[_i].name);
	ck_assert_ptr_eq(weir_close_reason_text(&reason, text), text);
	ck_assert_str_eq(text, causes[_i].text);
}
END_TEST

START_TEST(close_causes_are_all_in_the_table_and_no_two_are_alike)
{
	ck_assert_int_eq(CAUSE_COUNT, WEIR_CLOSE_CAUSE_COUNT);
	for (int i = 0; i < CAUSE_COUNT; i++) {
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(causes[i].name, causes[j].name);
			ck_assert_str_ne(causes[i].text, causes[j].text);
		}
	}
}
END_TEST

static const unsigned no_causes[] = { WEIR_CLOSE_CAUSE_COUNT,
				      WEIR_CLOSE_CAUSE_COUNT + 1, INT32_MAX,
				      UINT32_MAX };

START_TEST(close_cause_that_does_not_exist_is_a_question_mark)
{
	const struct weir_close_reason reason = {
		.cause = (enum weir_close_cause)no_causes[_i],
	};
	char text[WEIR_CLOSE_TEXT_BYTES];
	ck_assert_str_eq(weir_close_cause_name(reason.cause), "?");
	ck_assert_str_eq(weir_close_reason_text(&reason, text), "?");
}
END_TEST

static const struct {
	const char *when;
	struct weir_close_reason reason;
	const char *want;
} text_cases[] = {
	{ "an errno is known",
	  { WEIR_CLOSE_RESET, -ECONNRESET, 0, 0 },
	  "the peer reset the connection: Connection reset by peer" },
	{ "a connect failed",
	  { WEIR_CLOSE_CONNECT, -ECONNREFUSED, 0, 0 },
	  "the connection could not be made: Connection refused" },
	{ "a limit was hit",
	  { WEIR_CLOSE_MESSAGE_LIMIT, 0, 2000, 1000 },
	  "the input needed more memory than a message may take: 2000 bytes, "
	  "the limit is 1000" },
	{ "a limit was hit and an errno is known",
	  { WEIR_CLOSE_QUEUE_LIMIT, -EMSGSIZE, 2000, 1000 },
	  "the output was larger than the send queue may grow: 2000 bytes, "
	  "the limit is 1000" },
	{ "the handler names value and limit",
	  { WEIR_CLOSE_REFUSED, -EMSGSIZE, 1048577, 1048576 },
	  "the handler refused the input: 1048577 bytes, the limit is "
	  "1048576" },
	{ "the handler names an errno only",
	  { WEIR_CLOSE_REFUSED, -EBADMSG, 0, 0 },
	  "the handler refused the input: Bad message" },
	{ "there is a limit and no value",
	  { WEIR_CLOSE_MESSAGE_LIMIT, 0, 0, 1000 },
	  "the input needed more memory than a message may take: 0 bytes, "
	  "the limit is 1000" },
	{ "there is a value and no limit",
	  { WEIR_CLOSE_LOCAL, 0, 77, 0 },
	  "closed by the handler" },
	{ "the peer closed within a message",
	  { WEIR_CLOSE_PEER, 0, 7, 0 },
	  "the peer closed with 7 bytes of an unfinished message" },
	{ "the peer closed between two messages",
	  { WEIR_CLOSE_PEER, 0, 0, 0 },
	  "the peer closed" },
	{ "the peer closed, and an errno is known",
	  { WEIR_CLOSE_PEER, -EPIPE, 0, 0 },
	  "the peer closed: Broken pipe" },
};

START_TEST(close_text_tells_the_numbers_that_there_are)
{
	char text[WEIR_CLOSE_TEXT_BYTES];
	(void)weir_close_reason_text(&text_cases[_i].reason, text);
	ck_assert_msg(strcmp(text, text_cases[_i].want) == 0,
		      "when %s: got '%s'", text_cases[_i].when, text);
}
END_TEST

/* Every cause with the largest numbers and every errno. It ends at a guard
 * page, and its end is not cut off. */
START_TEST(close_text_fits_where_it_says_it_does)
{
	struct wi_guarded guarded = wi_guarded_take(WEIR_CLOSE_TEXT_BYTES);
	char *text = (char *)guarded.bytes;
	struct weir_close_reason reason = {
		.cause = causes[_i].cause,
		.value = UINT64_MAX,
		.limit = UINT64_MAX,
	};
	(void)weir_close_reason_text(&reason, text);
	ck_assert_str_eq(text + strlen(text) - 20, "18446744073709551615");

	reason.limit = 0;
	(void)weir_close_reason_text(&reason, text);
	if (reason.cause == WEIR_CLOSE_PEER)
		ck_assert_ptr_nonnull(strstr(text, "18446744073709551615"));
	reason.value = 0;
	for (int number = 1; number < 200; number++) {
		reason.err = -number;
		(void)weir_close_reason_text(&reason, text);
		const char *colon = strstr(text, ": ");
		ck_assert_ptr_nonnull(colon);
		ck_assert_str_eq(colon + 2, strerror(number));
	}
	wi_guarded_give(&guarded);
}
END_TEST

WI_SUITE(close_text, "close-text", WI_MEMCHECK)
{
	TCase *tcase = tcase_create("close-text");

	tcase_add_loop_test(tcase, close_cause_has_its_name_and_its_text, 0,
			    CAUSE_COUNT);
	tcase_add_test(tcase,
		       close_causes_are_all_in_the_table_and_no_two_are_alike);
	tcase_add_loop_test(tcase,
			    close_cause_that_does_not_exist_is_a_question_mark,
			    0, sizeof(no_causes) / sizeof(no_causes[0]));
	tcase_add_loop_test(tcase, close_text_tells_the_numbers_that_there_are,
			    0, sizeof(text_cases) / sizeof(text_cases[0]));
	tcase_add_loop_test(tcase, close_text_fits_where_it_says_it_does, 0,
			    CAUSE_COUNT);
	suite_add_tcase(suite, tcase);
}

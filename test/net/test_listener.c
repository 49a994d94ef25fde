/* test_listener.c - commands of other threads to a loop's listener
 *
 * The test gives the commands by hand between turns, so it can try each order
 * of the two threads. The effect in a whole server: test_server_roll.c.
 */
#include "../rig/peer.h"
#include "../suites.h"

#include "net/loop/loop_priv.h"
#include "net/loop/loop_struct.h"
#include "net/server/listen_socket.h"

static struct wi_listener *listener_of(const struct local *local)
{
	return &local->loop->listeners.list[0];
}

static bool is_listening(const struct local *local)
{
	int value = 0;
	socklen_t bytes = sizeof(value);
	ck_assert_int_eq(getsockopt(listener_of(local)->fd, SOL_SOCKET,
				    SO_ACCEPTCONN, &value, &bytes),
			 0);
	return value != 0;
}

static void command(struct local *local, enum wi_listener_command what)
{
	wi_listener_command(listener_of(local), what);
	wi_loop_wake(local->loop);
}

static void turn_until_acknowledged(struct local *local)
{
	enum { TURNS_MAX = 1000 }; /* it takes a few turns */
	for (int i = 0; i < TURNS_MAX; i++) {
		if (wi_listener_has_acknowledged(listener_of(local)))
			return;
		local_turns(local, 1);
	}
	ck_abort_msg("the loop does not tell");
}

static void empty(struct local *local)
{
	command(local, WI_LISTENER_EMPTY);
	turn_until_acknowledged(local);
	ck_assert(!is_listening(local));
}

static void listen_again(struct local *local)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	ck_assert_int_eq(
		wi_listen_socket_reopen(kernel, listener_of(local)->fd, 16), 0);
	command(local, WI_LISTENER_ACCEPT);
}

/* Without a shutdown, clients would wait there for ever. */
START_TEST(a_listener_that_is_emptied_again_at_once_is_shut_down_again)
{
	struct local local = { .loop = NULL };
	local_start(&local, NULL, NULL);
	local_turns(&local, 2);
	empty(&local);
	listen_again(&local); /* no turn sees the command */
	ck_assert(is_listening(&local));
	empty(&local);
	local_end(&local, NULL);
}
END_TEST

START_TEST(a_loop_that_fails_shuts_down_what_listens_again_unseen)
{
	struct local local = { .loop = NULL };
	local_start(&local, NULL, NULL);
	local_turns(&local, 2);
	empty(&local);
	listen_again(&local);
	wi_listeners_shut(&local.loop->listeners);
	ck_assert(!is_listening(&local));
	local_end(&local, NULL);
}
END_TEST

/* Otherwise a flood of clients would keep a loop from ending. */
START_TEST(no_more_than_a_backlog_of_latecomers_are_waited_for)
{
	enum { BACKLOG = 5, TURNS = 3 };
	static struct wi_conns conns;
	const struct wi_listeners listeners = { .conns = &conns,
						.backlog = BACKLOG };
	struct wi_latecomers latecomers;
	uint64_t accepts = 100;
	int turns = 0;

	wi_latecomers_start(&latecomers, &listeners, accepts);
	while (wi_latecomers_go_on(&latecomers, ++accepts)) /* one per turn */
		turns++;
	/* The last accept that allows more turns is one below a backlog. */
	ck_assert_int_eq(turns, BACKLOG - 1 + TURNS - 1);
	wi_latecomers_start(&latecomers, &listeners, accepts);
	for (turns = 0; wi_latecomers_go_on(&latecomers, accepts); turns++)
		;
	ck_assert_int_eq(turns, TURNS);
}
END_TEST

WI_SUITE(listener, "listener", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("commands");
	tcase_add_test(
		tcase,
		a_listener_that_is_emptied_again_at_once_is_shut_down_again);
	tcase_add_test(tcase,
		       a_loop_that_fails_shuts_down_what_listens_again_unseen);
	tcase_add_test(tcase,
		       no_more_than_a_backlog_of_latecomers_are_waited_for);
	suite_add_tcase(suite, tcase);
}

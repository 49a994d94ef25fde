/* test_examples.c - the programs of tools/examples, run like a user's */
#include "../rig/peer.h"
#include "../rig/tool.h"
#include "../steer/steer_rig.h"
#include "../suites.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void stop(struct tool *tool, int want)
{
	ck_assert_int_eq(kill(tool->pid, SIGTERM), 0);
	const int status = tool_end(tool);
	ck_assert_msg(status == want, "ends with %d: %s", status, tool->output);
}

/* ---- echo.c, which the README shows ------------------------------------ */

static int serving_fd(uint16_t port)
{
	int fd = -1;
	while ((fd = peer_try_open(port)) < 0)
		(void)sched_yield(); /* no output yet */
	return fd;
}

START_TEST(the_server_of_the_readme_echoes_and_ends)
{
	enum { PORT = 7000 };
	const char *why_not = wi_netns_enter();
	static struct tool echo = { .name = "examples/example_echo" };
	static struct tool second = { .name = "examples/example_echo" };
	wi_skip_unless(why_not == NULL, why_not);
	if (!tool_is_there(__func__, echo.name))
		return;
	tool_start(&echo);
	int fd = serving_fd(PORT);
	for (uint32_t i = 0; i < 10; i++)
		peer_round_trip(fd, i);
	/* The port is taken, and its output says so. */
	ck_assert_int_eq(tool_run(&second), 1);
	ck_assert_ptr_nonnull(strstr(second.output, "7000 is in use"));
	peer_close(fd);
	stop(&echo, 0);
	ck_assert_str_eq(echo.output, "");
}
END_TEST

/* ---- services.c -------------------------------------------------------- */

static void expect_lines(int home, const char *first, const char *second)
{
	char got[2][16] = { "", "" };
	for (int i = 0; i < 2; i++) {
		int fd = accept(home, NULL, NULL);
		ck_assert_int_ge(fd, 0);
		peer_recv(fd, got[i], 14);
		peer_close(fd);
	}
	const int swapped = strncmp(got[0], first, 14) != 0;
	ck_assert_mem_eq(got[swapped], first, 14);
	ck_assert_mem_eq(got[!swapped], second, 14);
}

START_TEST(two_services_and_a_client_are_one_server)
{
	static struct tool both = { .name = "examples/example_services",
				    .args = { "0", "0" } };
	struct sockaddr_in address;
	char port[8];
	char answer[64] = "";
	unsigned ports[2];
	size_t count = 0;

	if (!tool_is_there(__func__, both.name))
		return;
	int home = wi_listener(&address);
	(void)snprintf(port, sizeof(port), "%u",
		       (unsigned)ntohs(address.sin_port));
	both.args[2] = port;
	tool_start(&both);
	tool_await(&both, "\n");
	ck_assert_int_eq(
		sscanf(both.output, "echo %u status %u", &ports[0], &ports[1]),
		2);
	expect_lines(home, "loop 0 serves\n", "loop 1 serves\n");
	int echoed = peer_open((uint16_t)ports[0]);
	peer_round_trip(echoed, 1);
	int asked = peer_open((uint16_t)ports[1]);
	ck_assert_int_eq(peer_recv_rest(asked, answer, sizeof(answer), &count),
			 0);
	ck_assert_str_eq(answer, "2 connections\n");
	peer_close(asked);
	peer_close(echoed);
	peer_close(home);
	stop(&both, 0);
}
END_TEST

START_TEST(a_wrong_call_of_an_example_says_so)
{
	static struct tool both = { .name = "examples/example_services" };
	if (!tool_is_there(__func__, both.name))
		return;
	ck_assert_int_eq(tool_run(&both), 2);
	ck_assert_ptr_nonnull(strstr(both.output, "usage:"));
}
END_TEST

WI_SUITE(examples, "examples", WI_RUNGS)
{
	TCase *tcase = tcase_create("examples");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, a_wrong_call_of_an_example_says_so);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, the_server_of_the_readme_echoes_and_ends);
	tcase_add_test(tcase, two_services_and_a_client_are_one_server);
}

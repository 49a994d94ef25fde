/* test_punt.c - detect work that the kernel moved to its worker threads
 *
 * The kernel always punts SHUTDOWN, so it proves that the count is not always
 * 0.
 */
#include "../rig/count_of.h"
#include "../rig/sandbox.h"
#include "../rig/support.h"
#include "../rig/tool.h"
#include "../suites.h"

#include "uring/op.h"
#include "uring/punt.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static void *thread_counts(void *ctx)
{
	int *count = ctx;
	*count = weir_punt_workers(own_tid());
	return NULL;
}

START_TEST(operations_that_are_polled_for_leave_no_worker)
{
	struct weir_ring ring;
	int fds[2];
	char byte = 'a';
	wi_ring_start(&ring, NULL);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_read(sqe, fds[1], &byte, 1);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	sqe = weir_ring_take_sqe(&ring);
	weir_op_send(sqe, fds[0], "b", 1, MSG_WAITALL);
	struct io_uring_cqe cqes[2];
	wi_ring_collect(&ring, cqes, 2);
	ck_assert_int_eq(byte, 'b');
	ck_assert_int_eq(weir_punt_workers(own_tid()), 0);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(shutdown_by_the_ring_leaves_a_worker_of_this_thread_only)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct weir_ring ring;
	pthread_t thread;
	int others = -1;
	int fds[2];
	wi_ring_start(&ring, NULL);
	wi_tcp_pair(fds);
	weir_op_shutdown(weir_ring_take_sqe(&ring), fds[0], SHUT_WR);
	ck_assert_int_eq(wi_ring_next(&ring).res, 0);

	ck_assert_int_gt(weir_punt_workers(own_tid()), 0);
	ck_assert_int_gt(kernel->punt_workers(kernel->ctx), 0);
	ck_assert_int_ge(weir_punt_workers(0), weir_punt_workers(own_tid()));
	ck_assert_int_eq(pthread_create(&thread, NULL, thread_counts, &others),
			 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(others, 0);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	weir_ring_close(&ring);
}
END_TEST

/* ---- weir-echo ----------------------------------------------------------- */

/* Serves one connection, which is still open when the server is stopped.
 * Returns the number of worker threads that the server reports. */
static long echo_punts(const char *force_off)
{
	char stats[] = "/tmp/weir-punt-XXXXXX";
	char forced[64];
	static struct tool echo;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	uint8_t frame[] = { 0, 0, 0, 2, 'h', 'i' };
	uint8_t answer[sizeof(frame)];
	int file = mkstemp(stats);
	ck_assert_int_ge(file, 0);
	(void)snprintf(forced, sizeof(forced), "WEIR_FORCE_OFF%s%s",
		       force_off != NULL ? "=" : "",
		       force_off != NULL ? force_off : "");
	echo = (struct tool){
		.name = "weir-echo",
		.args = { "--port", "0", "--bind", "127.0.0.1", "--loops", "1",
			  "--stats-json", stats },
		.env = { forced },
	};
	if (force_off == NULL)
		echo.env[0] = NULL; /* the environment of this test */
	tool_start(&echo);
	tool_await(&echo, "rungs on");
	const char *port = strstr(echo.output, "127.0.0.1:");
	ck_assert_ptr_nonnull(port);
	address.sin_port =
		htons((uint16_t)strtol(port + strlen("127.0.0.1:"), NULL, 10));
	int fd = wi_connect(&address);
	for (int i = 0; i < 100; i++) {
		wi_write_all(fd, frame, sizeof(frame));
		wi_read_all(fd, answer, sizeof(answer));
		ck_assert_mem_eq(frame, answer, sizeof(frame));
	}
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	ck_assert_int_eq(read(fd, answer, 1), 0); /* its FIN */
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(tool_end(&echo), 0);

	char text[32 * 1024];
	ssize_t count = read(file, text, sizeof(text) - 1);
	ck_assert_int_gt(count, 0);
	text[count] = '\0';
	ck_assert_int_eq(close(file), 0);
	ck_assert_int_eq(unlink(stats), 0);
	const char *found = strstr(text, "\"punt_workers\": ");
	ck_assert_msg(found != NULL, "no punt_workers in:\n%s", text);
	return strtol(found + strlen("\"punt_workers\": "), NULL, 10);
}

START_TEST(echo_server_has_no_worker_from_start_to_drain)
{
	if (!tool_is_there(__func__, "weir-echo"))
		return;
	wi_skip_if_forced_off(WEIR_RUNG_INSTALL_SLOT);
	ck_assert_int_eq(echo_punts(NULL), 0);
}
END_TEST

START_TEST(echo_server_without_install_slot_reports_its_workers)
{
	if (!tool_is_there(__func__, "weir-echo"))
		return;
	ck_assert_int_gt(echo_punts("install-slot"), 0);
}
END_TEST

/* ---- a folder in place of /proc ------------------------------------------ */

static const struct {
	const char *folder;
	const char *name; /* NULL: it has just ended */
} tasks[] = {
	{ "proc", NULL },
	{ "proc/self", NULL },
	{ "proc/self/task", NULL },
	{ "proc/self/task/1", "uring_test\n" },
	{ "proc/self/task/2", "iou-wrk-7\n" },
	{ "proc/self/task/3", "iou-wrk-8\n" },
	{ "proc/self/task/4", "iou-wrk-7\n" },
	{ "proc/self/task/5", NULL },
	{ "proc/self/task/6", "" }, /* it ended while it was read */
};

struct counts {
	const char *root;
	int of_7, of_8, of_9, of_all;
};

/* Lasts until the next call. */
static const char *path_in(const char *root, const char *path, const char *file)
{
	static char full[128];
	(void)snprintf(full, sizeof(full), "%s/%s%s", root, path, file);
	return full;
}

static void tasks_make(const char *root)
{
	for (size_t i = 0; i < COUNT_OF(tasks); i++) {
		ck_assert_int_eq(
			mkdir(path_in(root, tasks[i].folder, ""), 0755), 0);
		if (tasks[i].name == NULL)
			continue;
		FILE *file =
			fopen(path_in(root, tasks[i].folder, "/comm"), "we");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_ge(fputs(tasks[i].name, file), 0);
		ck_assert_int_eq(fclose(file), 0);
	}
}

static void tasks_remove(const char *root)
{
	for (size_t i = COUNT_OF(tasks); i > 0; i--) {
		const char *folder = tasks[i - 1].folder;
		if (tasks[i - 1].name != NULL)
			ck_assert_int_eq(unlink(path_in(root, folder, "/comm")),
					 0);
		ck_assert_int_eq(rmdir(path_in(root, folder, "")), 0);
	}
}

static int count_apart(void *ctx, struct weir_error *error)
{
	struct counts *counts = ctx;
	(void)error;
	if (!sandbox_root(counts->root))
		return -errno;
	counts->of_7 = weir_punt_workers(7);
	counts->of_8 = weir_punt_workers(8);
	counts->of_9 = weir_punt_workers(9);
	counts->of_all = weir_punt_workers(0);
	return 0;
}

START_TEST(workers_are_told_by_their_names)
{
	char root[] = "/tmp/weir-XXXXXX";
	struct counts empty = { .root = root };
	struct counts full = { .root = root };
	struct weir_error error;
	ck_assert_ptr_nonnull(mkdtemp(root));
	int err = sandbox_run(count_apart, &empty, &error);
	tasks_make(root);
	(void)sandbox_run(count_apart, &full, &error);
	tasks_remove(root);
	ck_assert_int_eq(rmdir(root), 0);
	wi_skip_unless(err != -EPERM, "may not change the root folder");
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(empty.of_all, -ENOENT);
	ck_assert_int_eq(full.of_7, 2);
	ck_assert_int_eq(full.of_8, 1);
	ck_assert_int_eq(full.of_9, 0);
	ck_assert_int_eq(full.of_all, 3);
}
END_TEST

WI_SUITE(punt, "punt", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = tcase_create("punt");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, workers_are_told_by_their_names);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, operations_that_are_polled_for_leave_no_worker);
	tcase_add_test(
		tcase,
		shutdown_by_the_ring_leaves_a_worker_of_this_thread_only);
	tcase_add_test(tcase, echo_server_has_no_worker_from_start_to_drain);
	tcase_add_test(tcase,
		       echo_server_without_install_slot_reports_its_workers);
}

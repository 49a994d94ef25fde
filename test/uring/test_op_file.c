/* test_op_file.c - files, pipes and the table, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

START_TEST(write_and_read_go_on_at_the_file_s_position_or_at_a_given_one)
{
	struct rig rig;
	char bytes[8] = "";
	rig_open(&rig);
	int fd = rig_file();
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_write(sqe, fd, "abcd", 4);
	ck_assert_int_eq(rig_do(&rig, sqe), 4);
	sqe = rig_take(&rig);
	weir_op_write(sqe, fd, "efgh", 4);
	ck_assert_int_eq(rig_do(&rig, sqe), 4);
	sqe = rig_take(&rig);
	weir_op_write_at(sqe, fd, "XY", 2, 2);
	ck_assert_int_eq(rig_do(&rig, sqe), 2);
	sqe = rig_take(&rig);
	weir_op_read_at(sqe, fd, bytes, 8, 1);
	ck_assert_int_eq(rig_do(&rig, sqe), 7);
	ck_assert_mem_eq(bytes, "bXYefgh", 7);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 8);
	sqe = rig_take(&rig);
	weir_op_read_at(sqe, fd, bytes, 8, 100);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

/* Two parts of a plain or registered buffer, written to and read from a file or
 * a socket pair. */
static const struct {
	const char *what;
	bool is_vector, is_fixed, is_socket;
} transfers[] = {
	{ "vector", true, false, false },
	{ "vector on sockets", true, false, true },
	{ "registered", false, true, false },
	{ "registered on sockets", false, true, true },
	{ "registered vector", true, true, false },
	{ "plain on sockets", false, false, true },
};
START_TEST(transfer_moves_the_bytes)
{
	struct rig rig;
	char out[12] = "hello, world"; /* no room for the NUL */
	static char memory[64];
	struct iovec whole = { memory, sizeof(memory) };
	int fds[2];
	rig_open(&rig);
	wi_skip_unless(!transfers[_i].is_vector || !transfers[_i].is_fixed ||
			       rig_knows(&rig, IORING_OP_READV_FIXED),
		       "no registered vectors before Linux 6.15");
	memset(memory, 0, sizeof(memory));
	memcpy(memory, out, 12);
	ck_assert_int_eq(weir_ring_register(&rig.ring, IORING_REGISTER_BUFFERS,
					    &whole, 1),
			 0);
	if (transfers[_i].is_socket) {
		rig_unix_pair(fds);
	} else {
		fds[0] = rig_file();
		fds[1] = dup(fds[0]);
	}
	const uint64_t offset = transfers[_i].is_socket ? WEIR_OP_CURRENT : 0;
	const struct iovec from[2] = { { memory, 5 }, { memory + 5, 7 } };
	const struct iovec into[2] = { { memory + 32, 9 }, { memory + 41, 3 } };
	struct io_uring_sqe *sqe = rig_take(&rig);
	if (transfers[_i].is_vector && transfers[_i].is_fixed)
		weir_op_writev_fixed(sqe, fds[0], from, 2, offset, 0);
	else if (transfers[_i].is_vector)
		weir_op_writev(sqe, fds[0], from, 2, offset);
	else if (transfers[_i].is_fixed)
		weir_op_write_fixed(sqe, fds[0], memory, 12, offset, 0);
	else
		weir_op_write(sqe, fds[0], memory, 12);
	ck_assert_msg(rig_do(&rig, sqe) == 12, "%s", transfers[_i].what);
	sqe = rig_take(&rig);
	if (transfers[_i].is_vector && transfers[_i].is_fixed)
		weir_op_readv_fixed(sqe, fds[1], into, 2, offset, 0);
	else if (transfers[_i].is_vector)
		weir_op_readv(sqe, fds[1], into, 2, offset);
	else if (transfers[_i].is_fixed)
		weir_op_read_fixed(sqe, fds[1], memory + 32, 12, offset, 0);
	else
		weir_op_read(sqe, fds[1], memory + 32, 12);
	ck_assert_msg(rig_do(&rig, sqe) == 12, "%s", transfers[_i].what);
	ck_assert_mem_eq(memory + 32, out, 12);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(memory_outside_the_registered_buffer_says_efault)
{
	struct rig rig;
	static char memory[16];
	struct iovec half = { memory, 8 };
	rig_open(&rig);
	int fd = rig_file();
	ck_assert_int_eq(weir_ring_register(&rig.ring, IORING_REGISTER_BUFFERS,
					    &half, 1),
			 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_write_fixed(sqe, fd, memory, 9, 0, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -EFAULT);
	sqe = rig_take(&rig);
	weir_op_write_fixed(sqe, fd, memory, 8, 0, 1);
	ck_assert_int_eq(rig_do(&rig, sqe), -EFAULT);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(socket_takes_no_offset)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_write_at(sqe, fds[0], "x", 1, 7);
	ck_assert_int_eq(rig_do(&rig, sqe), -ESPIPE);
	sqe = rig_take(&rig);
	weir_op_write_at(sqe, fds[0], "x", 1, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 1);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(read_takes_a_buffer_of_a_group)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	wi_write_all(fds[1], "grouped", 7);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_read(sqe, fds[0], NULL, RIG_BUF_BYTES);
	weir_op_select_group(sqe, RIG_GROUP);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	rig_holds(&rig, &cqe, "grouped");
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(multishot_read_goes_on_until_the_end_of_the_pipe)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_READ_MULTISHOT),
		       "no multishot reads before Linux 6.7");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_read_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(fds[1], "piped", 5), 5);
		struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
		rig_holds(&rig, &cqe, "piped");
	}
	ck_assert_int_eq(close(fds[1]), 0);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 0);
	ck_assert_int_eq(close(fds[0]), 0);

	int file = rig_file();
	sqe = rig_take(&rig);
	weir_op_read_multishot(sqe, file, RIG_GROUP);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADFD);
	ck_assert_int_eq(close(file), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(pipe_is_made_as_descriptors_or_in_slots)
{
	struct rig rig;
	int32_t ends[2] = { -1, -1 };
	char byte = 0;
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_PIPE),
		       "no pipes before Linux 6.16");
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_pipe(sqe, ends, O_CLOEXEC);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_ne(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(write(ends[1], "p", 1), 1);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'p');
	rig_close_pair(ends);

	for (int i = 0; i < 2; i++) {
		sqe = rig_take(&rig);
		weir_op_pipe_slots(sqe, ends, 0);
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
		ck_assert_int_eq(ends[0], 2 * i);
		ck_assert_int_eq(ends[1], 2 * i + 1);
	}
	sqe = rig_take(&rig);
	weir_op_pipe_slots(sqe, ends, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENFILE);
	sqe = rig_take(&rig);
	weir_op_write(sqe, 3, "q", 1);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 1);
	sqe = rig_take(&rig);
	weir_op_read(sqe, 2, &byte, 1);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 1);
	ck_assert_int_eq(byte, 'q');
	rig_close(&rig);
}
END_TEST

START_TEST(splice_and_tee_move_and_copy_between_pipes)
{
	struct rig rig;
	int from[2];
	int to[2];
	char bytes[8];
	rig_open(&rig);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(write(from[1], "abcd", 4), 4);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_tee(sqe, from[0], to[1], 4, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 4);
	sqe = rig_take(&rig);
	weir_op_splice(sqe, from[0], WEIR_OP_CURRENT, to[1], WEIR_OP_CURRENT, 4,
		       0);
	ck_assert_int_eq(rig_do(&rig, sqe), 4);
	wi_read_all(to[0], bytes, 8);
	ck_assert_mem_eq(bytes, "abcdabcd", 8);

	/* From a slot. */
	sqe = rig_take(&rig);
	weir_op_files_update(sqe, 1, &from[0], 1);
	ck_assert_int_eq(rig_do(&rig, sqe), 1);
	ck_assert_int_eq(write(from[1], "ef", 2), 2);
	sqe = rig_take(&rig);
	weir_op_splice(sqe, 1, WEIR_OP_CURRENT, to[1], WEIR_OP_CURRENT, 2, 0);
	weir_op_splice_in_slot(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 2);

	sqe = rig_take(&rig);
	weir_op_splice(sqe, -1, WEIR_OP_CURRENT, to[1], WEIR_OP_CURRENT, 2, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	sqe = rig_take(&rig);
	weir_op_splice(sqe, from[0], 0, to[1], WEIR_OP_CURRENT, 2, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -ESPIPE);
	rig_close_pair(from);
	rig_close_pair(to);
	rig_close(&rig);
}
END_TEST

START_TEST(files_are_made_asked_about_cut_renamed_and_removed)
{
	struct rig rig;
	char folder[] = "/tmp/weir-test-XXXXXX";
	struct statx stat;
	const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC,
				      .resolve = RESOLVE_BENEATH };
	rig_open(&rig);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_openat(sqe, dir, "log", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		       0600);
	int fd = rig_do(&rig, sqe);
	ck_assert_int_ge(fd, 0);
	sqe = rig_take(&rig);
	weir_op_openat(sqe, dir, "log", O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_eq(rig_do(&rig, sqe), -EEXIST);
	sqe = rig_take(&rig);
	weir_op_ftruncate(sqe, fd, 1000);
	int32_t res = rig_do(&rig, sqe);
	ck_assert(res == 0 || res == -EINVAL); /* before Linux 6.9 */
	sqe = rig_take(&rig);
	weir_op_fallocate(sqe, fd, 0, 0, 2000);
	res = rig_do(&rig, sqe);
	ck_assert(res == 0 || res == -EOPNOTSUPP);
	sqe = rig_take(&rig);
	weir_op_write_at(sqe, fd, "x", 1, 2999);
	ck_assert_int_eq(rig_do(&rig, sqe), 1);
	for (int is_data_only = 0; is_data_only < 2; is_data_only++) {
		sqe = rig_take(&rig);
		weir_op_fsync(sqe, fd, is_data_only != 0);
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
	}
	sqe = rig_take(&rig);
	weir_op_mkdirat(sqe, dir, "old", 0700);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_renameat(sqe, dir, "log", dir, "old/log", 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_statx(sqe, dir, "old/log", 0, STATX_SIZE, &stat);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	wi_kernel_wrote(&stat, sizeof(stat));
	ck_assert_uint_eq(stat.stx_size, 3000);
	sqe = rig_take(&rig);
	weir_op_statx(sqe, dir, "log", 0, STATX_SIZE, &stat);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOENT);

	sqe = rig_take(&rig);
	weir_op_openat2(sqe, dir, "old/log", &how, sizeof(how));
	int again = rig_do(&rig, sqe);
	ck_assert_int_ge(again, 0);
	ck_assert_int_eq(close(again), 0);
	sqe = rig_take(&rig);
	weir_op_openat2(sqe, dir, "../etc", &how, sizeof(how));
	ck_assert_int_eq(rig_do(&rig, sqe), -EXDEV);
	sqe = rig_take(&rig);
	weir_op_openat_slot(sqe, dir, "old/log", O_RDONLY, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);

	sqe = rig_take(&rig);
	weir_op_unlinkat(sqe, dir, "old/log", 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_unlinkat(sqe, dir, "old", AT_REMOVEDIR);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_unlinkat(sqe, dir, "old", AT_REMOVEDIR);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOENT);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(dir), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	rig_close(&rig);
}
END_TEST

static void read_of_a_folder(struct io_uring_sqe *sqe, int folder)
{
	static char byte;
	weir_op_read_at(sqe, folder, &byte, 1, 0);
}
static void path_through_a_link(struct io_uring_sqe *sqe, int folder)
{
	static const struct open_how how = { .resolve = RESOLVE_NO_SYMLINKS };
	weir_op_openat2(sqe, folder, "/proc/self", &how, sizeof(how));
}
static void how_of_a_later_kernel(struct io_uring_sqe *sqe, int folder)
{
	static const struct {
		struct open_how how;
		uint64_t unknown;
	} later = { .unknown = 1 };
	weir_op_openat2(sqe, folder, ".", &later.how, sizeof(later));
}
static void folder_that_is_there(struct io_uring_sqe *sqe, int folder)
{
	weir_op_mkdirat(sqe, folder, "/proc", 0700);
}
static void file_that_is_not_there(struct io_uring_sqe *sqe, int folder)
{
	weir_op_unlinkat(sqe, folder, "no-such-file", 0);
}
static const struct refused failing[] = {
	{ "a folder is read", read_of_a_folder, REFUSED_FOLDER, -EISDIR, NULL },
	{ "the path has a link", path_through_a_link, REFUSED_FOLDER, -ELOOP,
	  NULL },
	{ "the kernel is older", how_of_a_later_kernel, REFUSED_FOLDER, -E2BIG,
	  NULL },
	{ "the folder is there", folder_that_is_there, REFUSED_FOLDER, -EEXIST,
	  NULL },
	{ "the file is not there", file_that_is_not_there, REFUSED_FOLDER,
	  -ENOENT, NULL },
};
START_TEST(file_operation_says_what_the_system_call_would)
{
	refused_check(&failing[_i]);
}
END_TEST

START_TEST(ring_without_a_table_has_nothing_to_update)
{
	struct weir_ring ring;
	int32_t fd = 0;
	wi_ring_start(&ring, NULL);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	if (_i == 0)
		weir_op_files_update(sqe, 0, &fd, 1);
	else
		weir_op_files_add(sqe, &fd, 1);
	ck_assert_int_eq(wi_ring_next(&ring).res, -ENXIO);
	weir_ring_close(&ring);
}
END_TEST

static void fsync_whole(struct io_uring_sqe *sqe, int fd)
{
	weir_op_fsync(sqe, fd, false);
}
START_TEST(fsync_of_a_socket_says_einval)
{
	const struct refused socket = { "of a socket", fsync_whole,
					REFUSED_UNIX, -EINVAL, NULL };
	refused_check(&socket);
}
END_TEST

static struct iovec many_parts[WEIR_OP_PARTS_MAX + 1];
static struct msghdr two_part_message = { .msg_iov = many_parts,
					  .msg_iovlen = 2 };

static void too_many_to_read(struct io_uring_sqe *sqe, int fd)
{
	weir_op_readv(sqe, fd, many_parts, 1, WEIR_OP_CURRENT);
	sqe->len = WEIR_OP_PARTS_MAX + 1;
}
static void too_many_to_write(struct io_uring_sqe *sqe, int fd)
{
	weir_op_writev(sqe, fd, many_parts, 1, WEIR_OP_CURRENT);
	sqe->len = WEIR_OP_PARTS_MAX + 1;
}
static void group_and_two_parts(struct io_uring_sqe *sqe, int fd)
{
	weir_op_readv(sqe, fd, many_parts, 1, WEIR_OP_CURRENT);
	weir_op_select_group(sqe, RIG_GROUP);
	sqe->len = 2;
}
static void group_and_two_part_message(struct io_uring_sqe *sqe, int fd)
{
	two_part_message.msg_iovlen = 1;
	weir_op_recvmsg(sqe, fd, &two_part_message, 0);
	weir_op_select_group(sqe, RIG_GROUP);
	two_part_message.msg_iovlen = 2;
}
static void update_of_none(struct io_uring_sqe *sqe, int fd)
{
	static int32_t none;
	(void)fd;
	weir_op_files_update(sqe, 0, &none, 1);
	sqe->len = 0;
}
static void removal_on_a_slot(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_timeout_remove(sqe, THIRD);
	sqe->flags |= IOSQE_FIXED_FILE;
}
static const struct refused refused[] = {
	{ "parts to read are too many", too_many_to_read, REFUSED_UNIX, -EINVAL,
	  NULL },
	{ "parts to write are too many", too_many_to_write, REFUSED_UNIX,
	  -EINVAL, NULL },
	{ "a group has two parts", group_and_two_parts, REFUSED_UNIX, -EINVAL,
	  NULL },
	{ "a group has a message of two parts", group_and_two_part_message,
	  REFUSED_UNIX, -EINVAL, NULL },
	{ "no slot is updated", update_of_none, REFUSED_NOTHING, -EINVAL,
	  NULL },
	{ "a timeout is removed on a slot", removal_on_a_slot, REFUSED_NOTHING,
	  -EINVAL, NULL },
};
START_TEST(kernel_refuses_what_the_asserts_refuse)
{
	refused_check(&refused[_i]);
}
END_TEST

START_TEST(table_is_filled_by_number_or_by_choice)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	const struct {
		uint32_t first;
		int32_t fds[3];
		uint32_t count;
		int want;
	} updates[] = {
		{ 2, { fds[0], fds[1] }, 2, 2 },
		{ 2, { -1, IORING_REGISTER_FILES_SKIP }, 2, 2 },
		{ 0, { -7 }, 1, -EBADF },
		{ RIG_SLOTS - 1, { fds[0], fds[1] }, 2, -EINVAL },
	};
	for (size_t i = 0; i < COUNT_OF(updates); i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_files_update(sqe, updates[i].first, updates[i].fds,
				     updates[i].count);
		ck_assert_int_eq(rig_do(&rig, sqe), updates[i].want);
	}
	/* Slot 3 is taken, 0 to 2 are free. */
	int32_t slots[4] = { fds[0], fds[0], fds[1], fds[1] };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_files_add(sqe, slots, 3);
	ck_assert_int_eq(rig_do(&rig, sqe), 3);
	/* First the slot freed last, then from the start. */
	static const int32_t order[] = { 2, 0, 1 };
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(slots[i], order[i]);
	sqe = rig_take(&rig);
	weir_op_files_add(sqe, &slots[3], 1);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENFILE);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

WI_SUITE(op_file, "op-file", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("file");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(
		tcase,
		write_and_read_go_on_at_the_file_s_position_or_at_a_given_one);
	tcase_add_loop_test(tcase, transfer_moves_the_bytes, 0,
			    COUNT_OF(transfers));
	tcase_add_test(tcase, memory_outside_the_registered_buffer_says_efault);
	tcase_add_test(tcase, socket_takes_no_offset);
	tcase_add_test(tcase, read_takes_a_buffer_of_a_group);
	tcase_add_test(tcase, multishot_read_goes_on_until_the_end_of_the_pipe);
	tcase_add_test(tcase, pipe_is_made_as_descriptors_or_in_slots);
	tcase_add_test(tcase, splice_and_tee_move_and_copy_between_pipes);
	tcase_add_test(tcase,
		       files_are_made_asked_about_cut_renamed_and_removed);
	tcase_add_loop_test(tcase,
			    file_operation_says_what_the_system_call_would, 0,
			    COUNT_OF(failing));
	tcase_add_loop_test(tcase, ring_without_a_table_has_nothing_to_update,
			    0, 2);
	tcase_add_test(tcase, fsync_of_a_socket_says_einval);
	tcase_add_loop_test(tcase, kernel_refuses_what_the_asserts_refuse, 0,
			    COUNT_OF(refused));
	tcase_add_test(tcase, table_is_filled_by_number_or_by_choice);
}

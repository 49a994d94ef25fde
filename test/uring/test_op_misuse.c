/* test_op_misuse.c - what the helpers refuse by assert */
#include "../rig/aborts.h"
#include "../rig/op_rig.h"
#include "../suites.h"

#include <fcntl.h>
#include <netinet/in.h>

static struct io_uring_sqe sqe;
static char byte;
static struct iovec part = { &byte, 1 };
static uint32_t word;
static const struct weir_kernel_timespec second = { .tv_sec = 1 };
static const struct weir_kernel_timespec before = { .tv_sec = -1 };
static const struct weir_kernel_timespec just_before = { .tv_nsec = -1 };

static void skip_multishot_recv(void)
{
	weir_op_recv_multishot(&sqe, 0, 0);
	weir_op_skip_success(&sqe);
}
static void skip_multishot_accept(void)
{
	weir_op_accept_slot_multishot(&sqe, 0);
	weir_op_skip_success(&sqe);
}
static void skip_multishot_poll(void)
{
	weir_op_poll_multishot(&sqe, 0, 1);
	weir_op_skip_success(&sqe);
}
static void skip_multishot_timeout(void)
{
	weir_op_timeout_multishot(&sqe, &second, 0, 0);
	weir_op_skip_success(&sqe);
}
static void skip_multishot_read(void)
{
	weir_op_read_multishot(&sqe, 0, 0);
	weir_op_skip_success(&sqe);
}
static void skip_zero_copy_receive(void)
{
	weir_op_recv_zc(&sqe, 0, 0, 0);
	weir_op_skip_success(&sqe);
}
static void skip_time_stamps(void)
{
	weir_op_tx_timestamps(&sqe, 0);
	weir_op_skip_success(&sqe);
}
static void skip_zero_copy_send(void)
{
	weir_op_send_zc(&sqe, 0, &byte, 1, MSG_WAITALL);
	weir_op_skip_success(&sqe);
}
static void skip_send_that_may_be_short(void)
{
	weir_op_send(&sqe, 0, &byte, 1, 0);
	weir_op_skip_success(&sqe);
}
static void skip_after_drain(void)
{
	weir_op_nop(&sqe);
	weir_op_drain(&sqe);
	weir_op_skip_success(&sqe);
}
static void drain_after_skip(void)
{
	weir_op_nop(&sqe);
	weir_op_skip_success(&sqe);
	weir_op_drain(&sqe);
}
static void bundle_on_a_worker(void)
{
	weir_op_recv_bundle(&sqe, 0, 0);
	weir_op_async(&sqe);
}
static void bundle_that_drains(void)
{
	weir_op_recv_bundle(&sqe, 0, 0);
	weir_op_drain(&sqe);
}
static void waitall_on_multishot(void)
{
	weir_op_recv_multishot(&sqe, 0, 0);
	weir_op_msg_flags(&sqe, MSG_WAITALL);
}
static void message_flags_on_accept(void)
{
	weir_op_accept_slot(&sqe, 0);
	weir_op_msg_flags(&sqe, MSG_DONTWAIT);
}
static void poll_first_on_read(void)
{
	weir_op_read(&sqe, 0, &byte, 1);
	weir_op_poll_first(&sqe);
}
static void group_for_a_write(void)
{
	weir_op_write(&sqe, 0, &byte, 1);
	weir_op_select_group(&sqe, 0);
}
static void group_for_two_parts(void)
{
	weir_op_readv(&sqe, 0, &part, 2, WEIR_OP_CURRENT);
	weir_op_select_group(&sqe, 0);
}
static void group_for_no_part(void)
{
	weir_op_readv(&sqe, 0, &part, 0, WEIR_OP_CURRENT);
	weir_op_select_group(&sqe, 0);
}
static void group_for_a_message_of_two_parts(void)
{
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 2 };
	weir_op_recvmsg(&sqe, 0, &message, 0);
	weir_op_select_group(&sqe, 0);
}
static void parts_too_many_to_send(void)
{
	weir_op_sendv(&sqe, 0, &part, WEIR_OP_PARTS_MAX + 1, 0);
}
static void parts_too_many_to_read(void)
{
	weir_op_readv(&sqe, 0, &part, WEIR_OP_PARTS_MAX + 1, 0);
}
static void parts_too_many_to_write_fixed(void)
{
	weir_op_writev_fixed(&sqe, 0, &part, WEIR_OP_PARTS_MAX + 1, 0, 0);
}
static void slot_for_epoll_ctl(void)
{
	weir_op_epoll_ctl(&sqe, 0, 1, 0, NULL);
	weir_op_on_slot(&sqe);
}
static void slot_for_timeout_remove(void)
{
	weir_op_timeout_remove(&sqe, 0);
	weir_op_on_slot(&sqe);
}
static void slot_for_unlinkat(void)
{
	weir_op_unlinkat(&sqe, 0, "x", 0);
	weir_op_on_slot(&sqe);
}
static void slot_for_close(void)
{
	weir_op_close(&sqe, 0);
	weir_op_on_slot(&sqe);
}
static void slot_for_openat(void)
{
	weir_op_openat(&sqe, 0, "x", 0, 0);
	weir_op_on_slot(&sqe);
}
static void cloexec_in_a_slot(void)
{
	weir_op_socket_slot(&sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static void cloexec_at_a_slot(void)
{
	weir_op_socket_at_slot(&sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 1);
}
static void cloexec_of_a_file_in_a_slot(void)
{
	weir_op_openat_slot(&sqe, AT_FDCWD, "x", O_CLOEXEC, 0);
}
static void cloexec_of_a_pipe_in_slots(void)
{
	int32_t slots[2];
	weir_op_pipe_slots(&sqe, slots, O_CLOEXEC);
}
static void slot_that_means_any(void)
{
	weir_op_close_slot(&sqe, UINT32_MAX);
}
static void message_to_a_slot_that_means_any(void)
{
	weir_op_msg_slot_at(&sqe, 0, 0, 0, UINT32_MAX - 1, false);
}
static void dontwait_on_recv(void)
{
	weir_op_recv(&sqe, 0, &byte, 1, 0);
	weir_op_accept_dontwait(&sqe);
}
static void option_of_another_level(void)
{
	weir_op_getsockopt(&sqe, 0, IPPROTO_TCP, 1, &word, sizeof(word));
}
static void fixed_buffer_on_send(void)
{
	weir_op_send(&sqe, 0, &byte, 1, 0);
	weir_op_fixed_buffer(&sqe, 0);
}
static void fixed_buffer_on_a_vector(void)
{
	weir_op_sendv_zc(&sqe, 0, &part, 1, 0);
	weir_op_fixed_buffer(&sqe, 0);
}
static void usage_of_a_send(void)
{
	weir_op_send(&sqe, 0, &byte, 1, 0);
	weir_op_report_usage(&sqe);
}
static void address_of_a_message(void)
{
	const struct msghdr message = { .msg_iov = &part };
	const struct sockaddr to = { .sa_family = AF_INET };
	weir_op_sendmsg(&sqe, 0, &message, 0);
	weir_op_to(&sqe, &to, sizeof(to));
}
static void several_parts_in_a_group(void)
{
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 2 };
	weir_op_recvmsg_multishot(&sqe, 0, &message, 0);
}
static void time_before_zero(void)
{
	weir_op_timeout(&sqe, &before, 0);
}
static void time_just_before_zero(void)
{
	weir_op_timeout(&sqe, &just_before, 0);
}
static void update_to_before_zero(void)
{
	weir_op_timeout_update(&sqe, 1, &before, false);
}
static void two_clocks(void)
{
	weir_op_timeout(&sqe, &second,
			IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME);
}
static void multishot_by_flag(void)
{
	weir_op_timeout(&sqe, &second, IORING_TIMEOUT_MULTISHOT);
}
static void absolute_multishot(void)
{
	weir_op_timeout_multishot(&sqe, &second, 1, IORING_TIMEOUT_ABS);
}
static void epoll_for_no_events(void)
{
	weir_op_epoll_wait(&sqe, 0, NULL, 0);
}
static void opcode_of_no_cancel(void)
{
	weir_op_nop(&sqe);
	weir_op_cancel_opcode(&sqe, IORING_OP_RECV);
}
static void opcode_of_any(void)
{
	weir_op_cancel_any(&sqe);
	weir_op_cancel_opcode(&sqe, IORING_OP_RECV);
}
static void first_of_any(void)
{
	weir_op_cancel_any(&sqe);
	weir_op_cancel_first(&sqe);
}
static void futex_for_nobody(void)
{
	weir_op_futex_wait(&sqe, &word, 0, 0, true);
}
static void futexes_none(void)
{
	weir_op_futex_wait_any(&sqe, NULL, 0);
}
static void futexes_too_many(void)
{
	weir_op_futex_wait_any(&sqe, NULL, WEIR_FUTEX_WAITERS_MAX + 1);
}
static void splice_side_of_a_read(void)
{
	weir_op_read(&sqe, 0, &byte, 1);
	weir_op_splice_in_slot(&sqe);
}
static void update_of_any_slot(void)
{
	const int32_t fd = 0;
	weir_op_files_update(&sqe, UINT32_MAX, &fd, 1);
}
static void update_of_no_slot(void)
{
	const int32_t fd = 0;
	weir_op_files_update(&sqe, 0, &fd, 0);
}
static void add_of_no_file(void)
{
	int32_t fd = 0;
	weir_op_files_add(&sqe, &fd, 0);
}

static void (*const misuses[])(void) = {
	skip_multishot_recv,
	skip_multishot_accept,
	skip_multishot_poll,
	skip_multishot_timeout,
	skip_multishot_read,
	skip_zero_copy_receive,
	skip_time_stamps,
	skip_zero_copy_send,
	skip_send_that_may_be_short,
	skip_after_drain,
	drain_after_skip,
	bundle_on_a_worker,
	bundle_that_drains,
	waitall_on_multishot,
	message_flags_on_accept,
	poll_first_on_read,
	group_for_a_write,
	group_for_two_parts,
	group_for_no_part,
	group_for_a_message_of_two_parts,
	parts_too_many_to_send,
	parts_too_many_to_read,
	parts_too_many_to_write_fixed,
	slot_for_epoll_ctl,
	slot_for_timeout_remove,
	slot_for_unlinkat,
	slot_for_close,
	slot_for_openat,
	cloexec_in_a_slot,
	cloexec_at_a_slot,
	cloexec_of_a_file_in_a_slot,
	cloexec_of_a_pipe_in_slots,
	slot_that_means_any,
	message_to_a_slot_that_means_any,
	dontwait_on_recv,
	option_of_another_level,
	fixed_buffer_on_send,
	fixed_buffer_on_a_vector,
	usage_of_a_send,
	address_of_a_message,
	several_parts_in_a_group,
	time_before_zero,
	time_just_before_zero,
	update_to_before_zero,
	two_clocks,
	multishot_by_flag,
	absolute_multishot,
	epoll_for_no_events,
	opcode_of_no_cancel,
	opcode_of_any,
	first_of_any,
	futex_for_nobody,
	futexes_none,
	futexes_too_many,
	splice_side_of_a_read,
	update_of_any_slot,
	update_of_no_slot,
	add_of_no_file,
};

static void misuse(void *ctx)
{
	misuses[*(const int *)ctx]();
}

START_TEST(misuse_meets_its_assert)
{
	int index = _i;
	memset(&sqe, 0, sizeof(sqe));
	ck_assert_msg(wi_aborts(misuse, &index), "misuse %d went through", _i);
}
END_TEST

/* It cannot run here, so check only the entry. */
START_TEST(zero_copy_receive_fills_its_entry)
{
	memset(&sqe, 0, sizeof(sqe));
	weir_op_recv_zc(&sqe, 5, 7, 4096);
	ck_assert_uint_eq(sqe.opcode, IORING_OP_RECV_ZC);
	ck_assert_int_eq(sqe.fd, 5);
	ck_assert_uint_eq(sqe.ioprio, IORING_RECV_MULTISHOT);
	ck_assert_uint_eq(sqe.len, 4096);
	ck_assert_uint_eq(sqe.zcrx_ifq_idx, 7);
	ck_assert(weir_op_is_multishot(&sqe));
}
END_TEST

WI_SUITE(op_misuse, "op-misuse", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("misuse");
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, misuse_meets_its_assert, 0,
			    COUNT_OF(misuses));
	tcase_add_test(tcase, zero_copy_receive_fills_its_entry);
}

/* op_wait.h - readiness and time: poll, epoll, timeouts
 *
 * A loop needs little of this: receives and accepts wait for readiness
 * themselves, and a timer wheel with the timeout of weir_ring_enter() serves
 * all deadlines.
 */
#ifndef WEIR_URING_EXTRA_OP_WAIT_H
#define WEIR_URING_EXTRA_OP_WAIT_H

#include "../op/op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct epoll_event; /* <sys/epoll.h> */

/* ---- poll ---------------------------------------------------------------- */

/* POLL* and EPOLL* bits as the kernel reads them: 16-bit halves swapped on a
 * big-endian machine. */
static inline uint32_t wi_op_poll_events(uint32_t events)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return events << 16 | events >> 16;
#else
	return events;
#endif
}

/**
 * weir_op_poll() - once, as soon as one of @events has occurred
 * @events: POLLIN, POLLOUT, EPOLLRDHUP, ...; POLLERR and POLLHUP always count
 *
 * res: the events that have occurred; -EBADF, -ECANCELED. A file that cannot be
 * polled (a regular file) is always readable and writable; -EINVAL if @events
 * has neither. Linux 5.1.
 */
static inline void weir_op_poll(struct io_uring_sqe *sqe, int32_t fd,
				uint32_t events)
{
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->poll32_events = wi_op_poll_events(events);
}

/**
 * weir_op_poll_multishot() - each time one of @events occurs, until it ends
 *
 * The first completion reports existing events; later ones report new events
 * only (edge-triggered), so read until -EAGAIN. Ends without F_MORE: on an
 * error, when cancelled, when the CQ overflows. There is no level-triggered
 * form: IORING_POLL_ADD_LEVEL is -EINVAL here on 6.18. Linux 5.13.
 */
static inline void weir_op_poll_multishot(struct io_uring_sqe *sqe, int32_t fd,
					  uint32_t events)
{
	weir_op_poll(sqe, fd, events);
	sqe->len = IORING_POLL_ADD_MULTI;
}

/**
 * weir_op_poll_remove() - end the poll with this user_data
 *
 * It completes with -ECANCELED. res: 0; -ENOENT: no such poll, -EALREADY: it
 * is completing by itself. Linux 5.1.
 */
static inline void weir_op_poll_remove(struct io_uring_sqe *sqe,
				       uint64_t user_data)
{
	sqe->opcode = IORING_OP_POLL_REMOVE;
	sqe->fd = -1;
	sqe->addr = user_data;
}

/**
 * weir_op_poll_update_events() - change the events of a poll
 *
 * A multishot stays a multishot. If one of @events has occurred the poll
 * completes at once. res: 0; -ENOENT, -EALREADY. Linux 5.13.
 */
static inline void weir_op_poll_update_events(struct io_uring_sqe *sqe,
					      uint64_t user_data,
					      uint32_t events)
{
	weir_op_poll_remove(sqe, user_data);
	sqe->len = IORING_POLL_UPDATE_EVENTS;
	sqe->poll32_events = wi_op_poll_events(events);
}

/**
 * weir_op_poll_update_token() - change the user_data of a poll
 *
 * res: 0; -ENOENT, -EALREADY. Linux 5.13.
 */
static inline void weir_op_poll_update_token(struct io_uring_sqe *sqe,
					     uint64_t user_data,
					     uint64_t new_user_data)
{
	weir_op_poll_remove(sqe, user_data);
	sqe->len = IORING_POLL_UPDATE_USER_DATA;
	sqe->off = new_user_data;
}

/** weir_op_poll_update() - both at once. Linux 5.13. */
static inline void weir_op_poll_update(struct io_uring_sqe *sqe,
				       uint64_t user_data,
				       uint64_t new_user_data, uint32_t events)
{
	weir_op_poll_update_events(sqe, user_data, events);
	sqe->len |= IORING_POLL_UPDATE_USER_DATA;
	sqe->off = new_user_data;
}

/* ---- epoll --------------------------------------------------------------- */

/**
 * weir_op_epoll_ctl() - epoll_ctl(2)
 * @operation: EPOLL_CTL_ADD, ...
 * @event:     read at submission only
 *
 * res: 0; -EEXIST, -ENOENT, -EBADF, -EPERM. Linux 5.6.
 */
static inline void weir_op_epoll_ctl(struct io_uring_sqe *sqe, int32_t epoll_fd,
				     int operation, int32_t fd,
				     const struct epoll_event *event)
{
	sqe->opcode = IORING_OP_EPOLL_CTL;
	sqe->fd = epoll_fd;
	sqe->off = (uint64_t)(uint32_t)fd;
	sqe->addr = wi_op_address(event);
	sqe->len = (uint32_t)operation;
}

/**
 * weir_op_epoll_wait() - epoll_wait(2) without a timeout
 * @out_events: room for @event_count; the kernel's until the CQE
 *
 * Lets a program move from epoll step by step. res: how many are ready; -EINVAL
 * if it is not an epoll instance, if @event_count is 0, and before Linux 6.15.
 */
static inline void weir_op_epoll_wait(struct io_uring_sqe *sqe,
				      int32_t epoll_fd,
				      struct epoll_event *out_events,
				      uint32_t event_count)
{
	assert(event_count > 0);
	sqe->opcode = IORING_OP_EPOLL_WAIT;
	sqe->fd = epoll_fd;
	sqe->addr = wi_op_address(out_events);
	sqe->len = event_count;
}

/* ---- timeouts ------------------------------------------------------------
 *
 * @time is read at submission only: keep it until the enter has returned.
 * @timeout_flags: IORING_TIMEOUT_ABS; _BOOTTIME or _REALTIME for another clock
 * than the monotonic one (5.15); _ETIME_SUCCESS (5.16): expiry is a success, so
 * it breaks no link and weir_op_skip_success() hides it.
 */

#define WI_OP_TIMEOUT_CLOCKS (IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME)

static inline bool wi_op_is_one_clock(uint32_t timeout_flags)
{
	return (timeout_flags & WI_OP_TIMEOUT_CLOCKS) != WI_OP_TIMEOUT_CLOCKS;
}

static inline bool wi_op_is_time(const struct weir_kernel_timespec *time)
{
	return time->tv_sec >= 0 && time->tv_nsec >= 0;
}

/**
 * weir_op_timeout() - completes when @time has passed
 *
 * res: -ETIME; -ECANCELED when removed. Linux 5.4.
 */
static inline void weir_op_timeout(struct io_uring_sqe *sqe,
				   const struct weir_kernel_timespec *time,
				   uint32_t timeout_flags)
{
	const uint32_t known = IORING_TIMEOUT_ABS | WI_OP_TIMEOUT_CLOCKS |
			       IORING_TIMEOUT_ETIME_SUCCESS;
	assert((timeout_flags & ~known) == 0);
	assert(wi_op_is_one_clock(timeout_flags));
	assert(wi_op_is_time(time));
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->fd = -1;
	sqe->addr = wi_op_address(time);
	sqe->len = 1;
	sqe->timeout_flags = timeout_flags;
}

/**
 * weir_op_timeout_count() - the same, or after @completion_count other CQEs
 *
 * res: 0 if the completions came first, else as weir_op_timeout(). Avoid it:
 * the kernel must count every completion. Linux 5.4.
 */
static inline void weir_op_timeout_count(
	struct io_uring_sqe *sqe, const struct weir_kernel_timespec *time,
	uint32_t completion_count, uint32_t timeout_flags)
{
	weir_op_timeout(sqe, time, timeout_flags);
	sqe->off = completion_count;
}

/**
 * weir_op_timeout_multishot() - completes every @time
 * @repeat_count: 0: until it is removed
 *
 * Each res is -ETIME; all but the last one have F_MORE. Relative only. Linux
 * 6.4, -EINVAL before.
 */
static inline void weir_op_timeout_multishot(
	struct io_uring_sqe *sqe, const struct weir_kernel_timespec *time,
	uint32_t repeat_count, uint32_t timeout_flags)
{
	assert((timeout_flags & IORING_TIMEOUT_ABS) == 0);
	weir_op_timeout(sqe, time, timeout_flags);
	sqe->off = repeat_count;
	sqe->timeout_flags |= IORING_TIMEOUT_MULTISHOT;
}

/**
 * weir_op_timeout_remove() - end the timeout with this user_data
 *
 * It completes with -ECANCELED. res: 0; -ENOENT: no such timeout, or it has
 * expired; -EALREADY: it is expiring. Linux 5.5.
 */
static inline void weir_op_timeout_remove(struct io_uring_sqe *sqe,
					  uint64_t user_data)
{
	sqe->opcode = IORING_OP_TIMEOUT_REMOVE;
	sqe->fd = -1;
	sqe->addr = user_data;
}

/**
 * weir_op_timeout_update() - change the time of a timeout
 * @is_absolute: @time is a point on the timeout's own clock
 *
 * res: 0; -ENOENT, -EALREADY. Linux 5.11.
 */
static inline void weir_op_timeout_update(
	struct io_uring_sqe *sqe, uint64_t user_data,
	const struct weir_kernel_timespec *time, bool is_absolute)
{
	assert(wi_op_is_time(time));
	weir_op_timeout_remove(sqe, user_data);
	sqe->addr2 = wi_op_address(time);
	sqe->timeout_flags = IORING_TIMEOUT_UPDATE;
	if (is_absolute)
		sqe->timeout_flags |= IORING_TIMEOUT_ABS;
}

/**
 * weir_op_link_timeout() - a limit for the entry before it
 *
 * That entry has weir_op_link(), and both go into one submission: alone the
 * limit is -EINVAL. res: -ETIME: the limit has cancelled the operation, whose
 * own CQE says -ECANCELED or the bytes sent so far (use that CQE, not this
 * one); -ECANCELED: the operation was first; -EALREADY: both at once. An
 * operation that already runs may succeed although the limit was reached.
 * weir_op_skip_success() on the limit hides both -ETIME and -ECANCELED: the
 * operation's own CQE is enough. Costs an hrtimer and an entry per operation:
 * prefer the loop's timer wheel. Linux 5.5.
 */
static inline void weir_op_link_timeout(struct io_uring_sqe *sqe,
					const struct weir_kernel_timespec *time,
					uint32_t timeout_flags)
{
	weir_op_timeout(sqe, time, timeout_flags);
	sqe->opcode = IORING_OP_LINK_TIMEOUT;
}

/**
 * weir_op_link_timeout_update() - change the limit with this user_data
 *
 * res: 0; -ENOENT, -EALREADY. Linux 5.15.
 */
static inline void weir_op_link_timeout_update(
	struct io_uring_sqe *sqe, uint64_t user_data,
	const struct weir_kernel_timespec *time, bool is_absolute)
{
	weir_op_timeout_update(sqe, user_data, time, is_absolute);
	/* Set together with _UPDATE: without _UPDATE the kernel would remove
	 * it. */
	sqe->timeout_flags |= IORING_LINK_TIMEOUT_UPDATE;
}

#ifdef __cplusplus
}
#endif

#endif

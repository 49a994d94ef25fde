/* abi.h - the io_uring ABI of Linux, up to 6.18
 *
 * weir has its own copy, because a distribution ships the headers of the kernel
 * it was built with. Names are the kernel's, so its documentation applies.
 * Comments give the first kernel version. Every layout is asserted below.
 *
 * This file also defines the include guard of <linux/io_uring.h>: a later
 * include of that header (or of liburing's copy) then adds nothing. The other
 * order stops the compiler with a clear message.
 */
#ifndef WEIR_URING_ABI_H
#define WEIR_URING_ABI_H

#ifdef LINUX_IO_URING_H
#error "include weir's uring/abi.h before <linux/io_uring.h> or <liburing.h>"
#endif
#define LINUX_IO_URING_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* System call numbers: one table for every architecture since 5.1. */
enum {
	WEIR_NR_IO_URING_SETUP = 425,
	WEIR_NR_IO_URING_ENTER = 426,
	WEIR_NR_IO_URING_REGISTER = 427,
};

/* ---- setup --------------------------------------------------------------- */

struct io_sqring_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t ring_mask;
	uint32_t ring_entries;
	uint32_t flags;
	uint32_t dropped;
	uint32_t array;
	uint32_t resv1;
	uint64_t user_addr;
};

struct io_cqring_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t ring_mask;
	uint32_t ring_entries;
	uint32_t overflow;
	uint32_t cqes;
	uint32_t flags;
	uint32_t resv1;
	uint64_t user_addr;
};

struct io_uring_params {
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t flags;
	uint32_t sq_thread_cpu;
	uint32_t sq_thread_idle; /* milliseconds */
	uint32_t features;
	uint32_t wq_fd;
	uint32_t resv[3];
	struct io_sqring_offsets sq_off;
	struct io_cqring_offsets cq_off;
};

#define IORING_SETUP_IOPOLL (1u << 0)
#define IORING_SETUP_SQPOLL (1u << 1)
#define IORING_SETUP_SQ_AFF (1u << 2)
#define IORING_SETUP_CQSIZE (1u << 3)              /* 5.5 */
#define IORING_SETUP_CLAMP (1u << 4)               /* 5.6 */
#define IORING_SETUP_ATTACH_WQ (1u << 5)           /* 5.6 */
#define IORING_SETUP_R_DISABLED (1u << 6)          /* 5.10 */
#define IORING_SETUP_SUBMIT_ALL (1u << 7)          /* 5.18 */
#define IORING_SETUP_COOP_TASKRUN (1u << 8)        /* 5.19 */
#define IORING_SETUP_TASKRUN_FLAG (1u << 9)        /* 5.19 */
#define IORING_SETUP_SQE128 (1u << 10)             /* 5.19 */
#define IORING_SETUP_CQE32 (1u << 11)              /* 5.19 */
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)      /* 6.0 */
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)      /* 6.1 */
#define IORING_SETUP_NO_MMAP (1u << 14)            /* 6.5 */
#define IORING_SETUP_REGISTERED_FD_ONLY (1u << 15) /* 6.5 */
#define IORING_SETUP_NO_SQARRAY (1u << 16)         /* 6.6 */
#define IORING_SETUP_HYBRID_IOPOLL (1u << 17)      /* 6.13 */
#define IORING_SETUP_CQE_MIXED (1u << 18)          /* 6.18 */

#define IORING_FEAT_SINGLE_MMAP (1u << 0)
#define IORING_FEAT_NODROP (1u << 1)
#define IORING_FEAT_SUBMIT_STABLE (1u << 2)
#define IORING_FEAT_RW_CUR_POS (1u << 3)
#define IORING_FEAT_CUR_PERSONALITY (1u << 4)
#define IORING_FEAT_FAST_POLL (1u << 5)
#define IORING_FEAT_POLL_32BITS (1u << 6)
#define IORING_FEAT_SQPOLL_NONFIXED (1u << 7)
#define IORING_FEAT_EXT_ARG (1u << 8)
#define IORING_FEAT_NATIVE_WORKERS (1u << 9)
#define IORING_FEAT_RSRC_TAGS (1u << 10)
#define IORING_FEAT_CQE_SKIP (1u << 11)
#define IORING_FEAT_LINKED_FILE (1u << 12)
#define IORING_FEAT_REG_REG_RING (1u << 13)
#define IORING_FEAT_RECVSEND_BUNDLE (1u << 14)
#define IORING_FEAT_MIN_TIMEOUT (1u << 15)
#define IORING_FEAT_RW_ATTR (1u << 16)
#define IORING_FEAT_NO_IOWAIT (1u << 17)

#define IORING_OFF_SQ_RING 0ULL
#define IORING_OFF_CQ_RING 0x8000000ULL
#define IORING_OFF_SQES 0x10000000ULL
#define IORING_OFF_PBUF_RING 0x80000000ULL
#define IORING_OFF_PBUF_SHIFT 16

/* In the word at sq_off.flags, written by the kernel. */
#define IORING_SQ_NEED_WAKEUP (1u << 0)
#define IORING_SQ_CQ_OVERFLOW (1u << 1)
#define IORING_SQ_TASKRUN (1u << 2)

/* In the word at cq_off.flags, written by us. */
#define IORING_CQ_EVENTFD_DISABLED (1u << 0)

/* ---- submission queue entry ---------------------------------------------- */

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* unnamed structs are C11 only */
#endif

struct io_uring_sqe {
	uint8_t opcode;
	uint8_t flags;   /* IOSQE_* */
	uint16_t ioprio; /* the net operations' own flag word */
	int32_t fd;      /* or a slot, with IOSQE_FIXED_FILE */
	union {
		uint64_t off;
		uint64_t addr2;
		struct {
			uint32_t cmd_op;
			uint32_t cmd_pad;
		};
	};
	union {
		uint64_t addr;
		uint64_t splice_off_in;
		struct {
			uint32_t level;
			uint32_t optname;
		};
	};
	uint32_t len;
	union {
		uint32_t op_flags; /* whichever of the names below applies */
		uint32_t rw_flags;
		uint32_t fsync_flags;
		uint32_t poll32_events;
		uint32_t msg_flags;
		uint32_t timeout_flags;
		uint32_t accept_flags;
		uint32_t cancel_flags;
		uint32_t open_flags;
		uint32_t statx_flags;
		uint32_t splice_flags;
		uint32_t msg_ring_flags;
		uint32_t uring_cmd_flags;
		uint32_t futex_flags;
		uint32_t install_fd_flags;
		uint32_t nop_flags;
		uint32_t pipe_flags;
	};
	uint64_t user_data;
	union {
		uint16_t buf_index;
		uint16_t buf_group;
	};
	uint16_t personality;
	union {
		int32_t splice_fd_in;
		uint32_t file_index; /* slot + 1, or IORING_FILE_INDEX_ALLOC */
		uint32_t zcrx_ifq_idx;
		uint32_t optlen;
		struct {
			uint16_t addr_len;
			uint16_t addr_pad;
		};
	};
	union {
		struct {
			uint64_t addr3;
			uint64_t pad2;
		};
		struct {
			uint64_t attr_ptr;
			uint64_t attr_type_mask;
		};
		uint64_t optval;
	};
};

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#define IORING_FILE_INDEX_ALLOC (~0u)

#define IOSQE_FIXED_FILE (1u << 0)
#define IOSQE_IO_DRAIN (1u << 1)
#define IOSQE_IO_LINK (1u << 2)
#define IOSQE_IO_HARDLINK (1u << 3)
#define IOSQE_ASYNC (1u << 4)
#define IOSQE_BUFFER_SELECT (1u << 5)
#define IOSQE_CQE_SKIP_SUCCESS (1u << 6)

enum io_uring_op {
	IORING_OP_NOP = 0,
	IORING_OP_READV = 1,
	IORING_OP_WRITEV = 2,
	IORING_OP_FSYNC = 3,
	IORING_OP_READ_FIXED = 4,
	IORING_OP_WRITE_FIXED = 5,
	IORING_OP_POLL_ADD = 6,
	IORING_OP_POLL_REMOVE = 7,
	IORING_OP_SYNC_FILE_RANGE = 8,
	IORING_OP_SENDMSG = 9,
	IORING_OP_RECVMSG = 10,
	IORING_OP_TIMEOUT = 11,
	IORING_OP_TIMEOUT_REMOVE = 12,
	IORING_OP_ACCEPT = 13,
	IORING_OP_ASYNC_CANCEL = 14,
	IORING_OP_LINK_TIMEOUT = 15,
	IORING_OP_CONNECT = 16,
	IORING_OP_FALLOCATE = 17,
	IORING_OP_OPENAT = 18,
	IORING_OP_CLOSE = 19,
	IORING_OP_FILES_UPDATE = 20,
	IORING_OP_STATX = 21,
	IORING_OP_READ = 22,
	IORING_OP_WRITE = 23,
	IORING_OP_FADVISE = 24,
	IORING_OP_MADVISE = 25,
	IORING_OP_SEND = 26,
	IORING_OP_RECV = 27,
	IORING_OP_OPENAT2 = 28,
	IORING_OP_EPOLL_CTL = 29,
	IORING_OP_SPLICE = 30,
	IORING_OP_PROVIDE_BUFFERS = 31,
	IORING_OP_REMOVE_BUFFERS = 32,
	IORING_OP_TEE = 33,
	IORING_OP_SHUTDOWN = 34,
	IORING_OP_RENAMEAT = 35,
	IORING_OP_UNLINKAT = 36,
	IORING_OP_MKDIRAT = 37,
	IORING_OP_SYMLINKAT = 38,
	IORING_OP_LINKAT = 39,
	IORING_OP_MSG_RING = 40,
	IORING_OP_FSETXATTR = 41,
	IORING_OP_SETXATTR = 42,
	IORING_OP_FGETXATTR = 43,
	IORING_OP_GETXATTR = 44,
	IORING_OP_SOCKET = 45,
	IORING_OP_URING_CMD = 46,
	IORING_OP_SEND_ZC = 47,          /* 6.0 */
	IORING_OP_SENDMSG_ZC = 48,       /* 6.1 */
	IORING_OP_READ_MULTISHOT = 49,   /* 6.7 */
	IORING_OP_WAITID = 50,           /* 6.7 */
	IORING_OP_FUTEX_WAIT = 51,       /* 6.7 */
	IORING_OP_FUTEX_WAKE = 52,       /* 6.7 */
	IORING_OP_FUTEX_WAITV = 53,      /* 6.7 */
	IORING_OP_FIXED_FD_INSTALL = 54, /* 6.8 */
	IORING_OP_FTRUNCATE = 55,        /* 6.9 */
	IORING_OP_BIND = 56,             /* 6.11 */
	IORING_OP_LISTEN = 57,           /* 6.11 */
	IORING_OP_RECV_ZC = 58,          /* 6.15 */
	IORING_OP_EPOLL_WAIT = 59,       /* 6.15 */
	IORING_OP_READV_FIXED = 60,      /* 6.15 */
	IORING_OP_WRITEV_FIXED = 61,     /* 6.15 */
	IORING_OP_PIPE = 62,             /* 6.16 */
	IORING_OP_LAST                   /* one past what 6.18 knows */
};

/* sqe->ioprio of send and receive operations */
#define IORING_RECVSEND_POLL_FIRST (1u << 0)  /* 5.19 */
#define IORING_RECV_MULTISHOT (1u << 1)       /* 6.0 */
#define IORING_RECVSEND_FIXED_BUF (1u << 2)   /* 6.0, zero-copy sends only */
#define IORING_SEND_ZC_REPORT_USAGE (1u << 3) /* 6.2 */
#define IORING_RECVSEND_BUNDLE (1u << 4)      /* 6.10 */
#define IORING_SEND_VECTORIZED (1u << 5)      /* 6.17 */
#define IORING_NOTIF_USAGE_ZC_COPIED (1u << 31)

/* sqe->ioprio of accept */
#define IORING_ACCEPT_MULTISHOT (1u << 0)  /* 5.19 */
#define IORING_ACCEPT_DONTWAIT (1u << 1)   /* 6.10 */
#define IORING_ACCEPT_POLL_FIRST (1u << 2) /* 6.10 */

/* sqe->len of poll operations */
#define IORING_POLL_ADD_MULTI (1u << 0)
#define IORING_POLL_UPDATE_EVENTS (1u << 1)
#define IORING_POLL_UPDATE_USER_DATA (1u << 2)
#define IORING_POLL_ADD_LEVEL (1u << 3)

/* sqe->timeout_flags */
#define IORING_TIMEOUT_ABS (1u << 0)
#define IORING_TIMEOUT_UPDATE (1u << 1)
#define IORING_TIMEOUT_BOOTTIME (1u << 2)
#define IORING_TIMEOUT_REALTIME (1u << 3)
#define IORING_LINK_TIMEOUT_UPDATE (1u << 4)
#define IORING_TIMEOUT_ETIME_SUCCESS (1u << 5)
#define IORING_TIMEOUT_MULTISHOT (1u << 6) /* 6.4 */

/* sqe->cancel_flags */
#define IORING_ASYNC_CANCEL_ALL (1u << 0)
#define IORING_ASYNC_CANCEL_FD (1u << 1)
#define IORING_ASYNC_CANCEL_ANY (1u << 2)
#define IORING_ASYNC_CANCEL_FD_FIXED (1u << 3)
#define IORING_ASYNC_CANCEL_USERDATA (1u << 4) /* 6.6 */
#define IORING_ASYNC_CANCEL_OP (1u << 5)       /* 6.6 */

/* sqe->addr and sqe->msg_ring_flags of MSG_RING */
#define IORING_MSG_DATA 0
#define IORING_MSG_SEND_FD 1
#define IORING_MSG_RING_CQE_SKIP (1u << 0)
#define IORING_MSG_RING_FLAGS_PASS (1u << 1)

#define IORING_FIXED_FD_NO_CLOEXEC (1u << 0)

/* sqe->nop_flags */
#define IORING_NOP_INJECT_RESULT (1u << 0)

/* sqe->cmd_op of URING_CMD on a socket */
#define SOCKET_URING_OP_SIOCINQ 0      /* 6.6 */
#define SOCKET_URING_OP_SIOCOUTQ 1     /* 6.6 */
#define SOCKET_URING_OP_GETSOCKOPT 2   /* 6.7, SOL_SOCKET only */
#define SOCKET_URING_OP_SETSOCKOPT 3   /* 6.7 */
#define SOCKET_URING_OP_TX_TIMESTAMP 4 /* 6.17 */

/* ---- completion queue entry ---------------------------------------------- */

struct io_uring_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

#define IORING_CQE_F_BUFFER (1u << 0)
#define IORING_CQE_F_MORE (1u << 1)
#define IORING_CQE_F_SOCK_NONEMPTY (1u << 2)
#define IORING_CQE_F_NOTIF (1u << 3)
#define IORING_CQE_F_BUF_MORE (1u << 4) /* 6.12 */
#define IORING_CQE_F_SKIP (1u << 5)     /* 6.18 */
#define IORING_CQE_F_32 (1u << 15)      /* 6.18 */
#define IORING_CQE_BUFFER_SHIFT 16

/* ---- enter --------------------------------------------------------------- */

#define IORING_ENTER_GETEVENTS (1u << 0)
#define IORING_ENTER_SQ_WAKEUP (1u << 1)
#define IORING_ENTER_SQ_WAIT (1u << 2)
#define IORING_ENTER_EXT_ARG (1u << 3)         /* 5.11 */
#define IORING_ENTER_REGISTERED_RING (1u << 4) /* 5.18 */
#define IORING_ENTER_ABS_TIMER (1u << 5)       /* 6.12 */
#define IORING_ENTER_EXT_ARG_REG (1u << 6)     /* 6.13 */
#define IORING_ENTER_NO_IOWAIT (1u << 7)       /* 6.15 */

struct weir_kernel_timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};

struct io_uring_getevents_arg {
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t min_wait_usec; /* 6.12; was padding */
	uint64_t ts;            /* struct weir_kernel_timespec * */
};

#define IORING_REG_WAIT_TS (1u << 0)

struct io_uring_reg_wait {
	struct weir_kernel_timespec ts;
	uint32_t min_wait_usec;
	uint32_t flags;
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t pad[3];
	uint64_t pad2[2];
};

/* ---- register ------------------------------------------------------------ */

enum io_uring_register_op {
	IORING_REGISTER_BUFFERS = 0,
	IORING_UNREGISTER_BUFFERS = 1,
	IORING_REGISTER_FILES = 2,
	IORING_UNREGISTER_FILES = 3,
	IORING_REGISTER_EVENTFD = 4,
	IORING_UNREGISTER_EVENTFD = 5,
	IORING_REGISTER_FILES_UPDATE = 6,
	IORING_REGISTER_EVENTFD_ASYNC = 7,
	IORING_REGISTER_PROBE = 8,
	IORING_REGISTER_PERSONALITY = 9,
	IORING_UNREGISTER_PERSONALITY = 10,
	IORING_REGISTER_RESTRICTIONS = 11,
	IORING_REGISTER_ENABLE_RINGS = 12,
	IORING_REGISTER_FILES2 = 13,
	IORING_REGISTER_FILES_UPDATE2 = 14,
	IORING_REGISTER_BUFFERS2 = 15,
	IORING_REGISTER_BUFFERS_UPDATE = 16,
	IORING_REGISTER_IOWQ_AFF = 17,
	IORING_UNREGISTER_IOWQ_AFF = 18,
	IORING_REGISTER_IOWQ_MAX_WORKERS = 19,
	IORING_REGISTER_RING_FDS = 20,
	IORING_UNREGISTER_RING_FDS = 21,
	IORING_REGISTER_PBUF_RING = 22,
	IORING_UNREGISTER_PBUF_RING = 23,
	IORING_REGISTER_SYNC_CANCEL = 24,
	IORING_REGISTER_FILE_ALLOC_RANGE = 25,
	IORING_REGISTER_PBUF_STATUS = 26,   /* 6.8 */
	IORING_REGISTER_NAPI = 27,          /* 6.9 */
	IORING_UNREGISTER_NAPI = 28,        /* 6.9 */
	IORING_REGISTER_CLOCK = 29,         /* 6.12 */
	IORING_REGISTER_CLONE_BUFFERS = 30, /* 6.12 */
	IORING_REGISTER_SEND_MSG_RING = 31, /* 6.13 */
	IORING_REGISTER_ZCRX_IFQ = 32,      /* 6.15 */
	IORING_REGISTER_RESIZE_RINGS = 33,  /* 6.13 */
	IORING_REGISTER_MEM_REGION = 34,    /* 6.13 */
	IORING_REGISTER_QUERY = 35,         /* 6.18 */
	IORING_REGISTER_LAST                /* one past what 6.18 knows */
};

/* Or'ed into the opcode: the fd is the ring's registered index. 6.3 */
#define IORING_REGISTER_USE_REGISTERED_RING (1u << 31)

#define IORING_RSRC_REGISTER_SPARSE (1u << 0) /* 5.19 */
#define IORING_REGISTER_FILES_SKIP (-2)

struct io_uring_rsrc_register {
	uint32_t nr;
	uint32_t flags;
	uint64_t resv2;
	uint64_t data;
	uint64_t tags;
};

struct io_uring_rsrc_update {
	uint32_t offset;
	uint32_t resv;
	uint64_t data;
};

struct io_uring_rsrc_update2 {
	uint32_t offset;
	uint32_t resv;
	uint64_t data;
	uint64_t tags;
	uint32_t nr;
	uint32_t resv2;
};

#define IO_URING_OP_SUPPORTED (1u << 0)

struct io_uring_probe_op {
	uint8_t op;
	uint8_t resv;
	uint16_t flags;
	uint32_t resv2;
};

#define WEIR_PROBE_OP_COUNT 256

/* The kernel's struct ends in a flexible array; this one is always full. */
struct io_uring_probe {
	uint8_t last_op;
	uint8_t ops_len;
	uint16_t resv;
	uint32_t resv2[3];
	struct io_uring_probe_op ops[WEIR_PROBE_OP_COUNT];
};

#define IORING_RESTRICTION_REGISTER_OP 0
#define IORING_RESTRICTION_SQE_OP 1
#define IORING_RESTRICTION_SQE_FLAGS_ALLOWED 2
#define IORING_RESTRICTION_SQE_FLAGS_REQUIRED 3

struct io_uring_restriction {
	uint16_t opcode; /* IORING_RESTRICTION_* */
	uint8_t value;   /* register op, SQE op or SQE flags */
	uint8_t resv;
	uint32_t resv2[3];
};

struct io_uring_buf {
	uint64_t addr;
	uint32_t len;
	uint16_t bid;
	uint16_t resv; /* of entry 0: the ring's tail */
};

#define IOU_PBUF_RING_MMAP 1 /* 6.4 */
#define IOU_PBUF_RING_INC 2  /* 6.12 */

struct io_uring_buf_reg {
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid;
	uint16_t flags;
	uint32_t min_left; /* newer than 6.18, backported */
	uint32_t resv[5];
};

struct io_uring_buf_status {
	uint32_t buf_group;
	uint32_t head;
	uint32_t resv[8];
};

struct io_uring_file_index_range {
	uint32_t off;
	uint32_t len;
	uint64_t resv;
};

struct io_uring_sync_cancel_reg {
	uint64_t addr;
	int32_t fd;
	uint32_t flags;
	struct weir_kernel_timespec timeout;
	uint8_t opcode;
	uint8_t pad[7];
	uint64_t pad2[3];
};

struct io_uring_napi {
	uint32_t busy_poll_to; /* microseconds */
	uint8_t prefer_busy_poll;
	uint8_t opcode;
	uint8_t pad[2];
	uint32_t op_param;
	uint32_t resv;
};

#define IO_URING_NAPI_REGISTER_OP 0
#define IO_URING_NAPI_STATIC_ADD_ID 1
#define IO_URING_NAPI_STATIC_DEL_ID 2
#define IO_URING_NAPI_TRACKING_DYNAMIC 0
#define IO_URING_NAPI_TRACKING_STATIC 1
#define IO_URING_NAPI_TRACKING_INACTIVE 255

struct io_uring_clock_register {
	uint32_t clockid;
	uint32_t resv[3];
};

#define IORING_REGISTER_SRC_REGISTERED (1u << 0)
#define IORING_REGISTER_DST_REPLACE (1u << 1)

struct io_uring_clone_buffers {
	uint32_t src_fd;
	uint32_t flags;
	uint32_t src_off;
	uint32_t dst_off;
	uint32_t nr;
	uint32_t pad[3];
};

#define IORING_MEM_REGION_TYPE_USER 1

struct io_uring_region_desc {
	uint64_t user_addr;
	uint64_t size;
	uint32_t flags;
	uint32_t id;
	uint64_t mmap_offset;
	uint64_t resv[4];
};

#define IORING_MEM_REGION_REG_WAIT_ARG 1

struct io_uring_mem_region_reg {
	uint64_t region_uptr; /* struct io_uring_region_desc * */
	uint64_t flags;
	uint64_t resv[2];
};

#define IO_URING_QUERY_OPCODES 0

struct io_uring_query_hdr {
	uint64_t next_entry;
	uint64_t query_data;
	uint32_t query_op;
	uint32_t size;
	int32_t result;
	uint32_t resv[3];
};

struct io_uring_query_opcode {
	uint32_t nr_request_opcodes;
	uint32_t nr_register_opcodes;
	uint64_t feature_flags;
	uint64_t ring_setup_flags;
	uint64_t enter_flags;
	uint64_t sqe_flags;
	uint32_t nr_query_opcodes;
	uint32_t pad;
};

struct io_uring_recvmsg_out {
	uint32_t namelen;
	uint32_t controllen;
	uint32_t payloadlen;
	uint32_t flags;
};

/* ---- layouts ------------------------------------------------------------- */

#ifdef __cplusplus
#define WEIR_ABI_ASSERT(what, text) static_assert(what, text)
#else
#define WEIR_ABI_ASSERT(what, text) _Static_assert(what, text)
#endif
#define WEIR_ABI_SIZE(type, bytes)                                             \
	WEIR_ABI_ASSERT(sizeof(struct type) == (bytes),                        \
			"size of " #type " is kernel ABI")
#define WEIR_ABI_AT(type, field, bytes)                                        \
	WEIR_ABI_ASSERT(offsetof(struct type, field) == (bytes),               \
			"offset of " #type "." #field " is kernel ABI")

WEIR_ABI_SIZE(io_sqring_offsets, 40);
WEIR_ABI_AT(io_sqring_offsets, flags, 16);
WEIR_ABI_AT(io_sqring_offsets, array, 24);
WEIR_ABI_AT(io_sqring_offsets, user_addr, 32);
WEIR_ABI_SIZE(io_cqring_offsets, 40);
WEIR_ABI_AT(io_cqring_offsets, overflow, 16);
WEIR_ABI_AT(io_cqring_offsets, cqes, 20);
WEIR_ABI_AT(io_cqring_offsets, flags, 24);
WEIR_ABI_AT(io_cqring_offsets, user_addr, 32);
WEIR_ABI_SIZE(io_uring_params, 120);
WEIR_ABI_AT(io_uring_params, flags, 8);
WEIR_ABI_AT(io_uring_params, features, 20);
WEIR_ABI_AT(io_uring_params, wq_fd, 24);
WEIR_ABI_AT(io_uring_params, sq_off, 40);
WEIR_ABI_AT(io_uring_params, cq_off, 80);
WEIR_ABI_SIZE(io_uring_sqe, 64);
WEIR_ABI_AT(io_uring_sqe, flags, 1);
WEIR_ABI_AT(io_uring_sqe, ioprio, 2);
WEIR_ABI_AT(io_uring_sqe, fd, 4);
WEIR_ABI_AT(io_uring_sqe, off, 8);
WEIR_ABI_AT(io_uring_sqe, addr2, 8);
WEIR_ABI_AT(io_uring_sqe, cmd_op, 8);
WEIR_ABI_AT(io_uring_sqe, addr, 16);
WEIR_ABI_AT(io_uring_sqe, level, 16);
WEIR_ABI_AT(io_uring_sqe, optname, 20);
WEIR_ABI_AT(io_uring_sqe, len, 24);
WEIR_ABI_AT(io_uring_sqe, op_flags, 28);
WEIR_ABI_AT(io_uring_sqe, user_data, 32);
WEIR_ABI_AT(io_uring_sqe, buf_group, 40);
WEIR_ABI_AT(io_uring_sqe, personality, 42);
WEIR_ABI_AT(io_uring_sqe, file_index, 44);
WEIR_ABI_AT(io_uring_sqe, addr_len, 44);
WEIR_ABI_AT(io_uring_sqe, addr3, 48);
WEIR_ABI_AT(io_uring_sqe, optval, 48);
WEIR_ABI_AT(io_uring_sqe, attr_type_mask, 56);
WEIR_ABI_SIZE(io_uring_cqe, 16);
WEIR_ABI_AT(io_uring_cqe, res, 8);
WEIR_ABI_AT(io_uring_cqe, flags, 12);
WEIR_ABI_SIZE(weir_kernel_timespec, 16);
WEIR_ABI_SIZE(io_uring_getevents_arg, 24);
WEIR_ABI_AT(io_uring_getevents_arg, sigmask_sz, 8);
WEIR_ABI_AT(io_uring_getevents_arg, min_wait_usec, 12);
WEIR_ABI_AT(io_uring_getevents_arg, ts, 16);
WEIR_ABI_SIZE(io_uring_reg_wait, 64);
WEIR_ABI_AT(io_uring_reg_wait, min_wait_usec, 16);
WEIR_ABI_AT(io_uring_reg_wait, flags, 20);
WEIR_ABI_AT(io_uring_reg_wait, sigmask, 24);
WEIR_ABI_SIZE(io_uring_rsrc_register, 32);
WEIR_ABI_SIZE(io_uring_rsrc_update, 16);
WEIR_ABI_SIZE(io_uring_rsrc_update2, 32);
WEIR_ABI_AT(io_uring_rsrc_update2, nr, 24);
WEIR_ABI_SIZE(io_uring_probe_op, 8);
WEIR_ABI_AT(io_uring_probe, ops, 16);
WEIR_ABI_SIZE(io_uring_restriction, 16);
WEIR_ABI_AT(io_uring_restriction, value, 2);
WEIR_ABI_SIZE(io_uring_buf, 16);
WEIR_ABI_AT(io_uring_buf, len, 8);
WEIR_ABI_AT(io_uring_buf, bid, 12);
WEIR_ABI_AT(io_uring_buf, resv, 14);
WEIR_ABI_SIZE(io_uring_buf_reg, 40);
WEIR_ABI_AT(io_uring_buf_reg, bgid, 12);
WEIR_ABI_AT(io_uring_buf_reg, min_left, 16);
WEIR_ABI_SIZE(io_uring_buf_status, 40);
WEIR_ABI_SIZE(io_uring_file_index_range, 16);
WEIR_ABI_SIZE(io_uring_sync_cancel_reg, 64);
WEIR_ABI_AT(io_uring_sync_cancel_reg, timeout, 16);
WEIR_ABI_AT(io_uring_sync_cancel_reg, opcode, 32);
WEIR_ABI_SIZE(io_uring_napi, 16);
WEIR_ABI_AT(io_uring_napi, op_param, 8);
WEIR_ABI_SIZE(io_uring_clock_register, 16);
WEIR_ABI_SIZE(io_uring_clone_buffers, 32);
WEIR_ABI_SIZE(io_uring_region_desc, 64);
WEIR_ABI_AT(io_uring_region_desc, mmap_offset, 24);
WEIR_ABI_SIZE(io_uring_mem_region_reg, 32);
WEIR_ABI_SIZE(io_uring_query_hdr, 40);
WEIR_ABI_SIZE(io_uring_query_opcode, 48);
WEIR_ABI_SIZE(io_uring_recvmsg_out, 16);

#ifdef __cplusplus
}
#endif

#endif

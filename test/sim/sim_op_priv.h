/* sim_op_priv.h - operations: submitted, waiting, carried out, told
 *
 * Of struct sim_op, which is in sim_priv.h.
 */
#ifndef WEIR_SIM_OP_PRIV_H
#define WEIR_SIM_OP_PRIV_H

#include "sim_priv.h"

/* ---- sim_op_udp.c ---- */
int sim_op_udp_bind(struct weir_sim *sim, struct sim_op *op);
int sim_op_udp_connect(struct weir_sim *sim, struct sim_op *op);
int sim_op_udp_send(struct weir_sim *sim, struct sim_op *op);
int sim_op_udp_recv(struct weir_sim *sim, struct sim_op *op);

/* ---- sim_op.c ---- */
/* False: the kernel refuses the entry itself. */
bool sim_op_submit(struct weir_sim *sim, int ring,
		   const struct io_uring_sqe *sqe);
/* The next step of the operation with this index in sim->runnable. */
void sim_op_run(struct weir_sim *sim, uint32_t index);
/* The next step of this operation. */
void sim_op_step(struct weir_sim *sim, struct sim_op *op);
void sim_ops_end(struct weir_sim *sim, int ring);
bool sim_op_is_recv(const struct sim_op *op);

/* ---- sim_op_wait.c ---- */
/* Events since it was armed; and, of all time, those with bytes. */
uint32_t sim_op_activations(const struct weir_sim *sim,
			    const struct sim_op *op);
uint32_t sim_op_data_wakes(const struct weir_sim *sim, const struct sim_op *op);
/* It waits for its file from now on. */
void sim_op_arm(struct weir_sim *sim, struct sim_op *op);
bool sim_op_polls_first(const struct sim_op *op);
bool sim_op_any_runs(const struct weir_sim *sim, int ring, enum sim_runner run);
/* How many can continue now; sim_op_run() uses this list. */
uint32_t sim_op_runnable(struct weir_sim *sim, int ring, enum sim_runner run);
/* How often it was woken since it was armed: poll_refs. */
uint32_t sim_op_woken_count(const struct weir_sim *sim,
			    const struct sim_op *op);
bool sim_op_was_woken_in_vain(struct weir_sim *sim, const struct sim_op *op);
/* Posts a completion of an operation whose stream is closed. */
void sim_op_haunt(struct weir_sim *sim, int ring);

/* ---- sim_worker.c ---- */
/* True: a kernel worker runs it later. */
bool sim_worker_takes(struct weir_sim *sim, struct sim_op *op);
/* True: it is done; its completion comes later. */
bool sim_worker_keeps(struct weir_sim *sim, struct sim_op *op, int result);
/* Its completion is posted; the worker may still hold it. */
void sim_worker_has_done(struct weir_sim *sim, const struct sim_op *op);
void sim_worker_forget(struct weir_sim *sim, int file);
/* Whether a cancel of @token, of @file unless that is SIM_NONE, or of any,
 * finds an operation that a worker has run and still holds. */
bool sim_worker_holds(struct weir_sim *sim, int ring, uint32_t cancel_flags,
		      uint64_t token, int file);
/* A moment passes: workers that are due at it act. */
void sim_worker_moment(struct weir_sim *sim);
/* Nothing else can happen, so a worker that is due later acts now. False: there
 * is none. */
bool sim_worker_rouse(struct weir_sim *sim);

/* Results of an attempt that are no errno. AGAIN: it has posted a completion
 * and continues. */
enum { SIM_OP_WAITS = INT_MIN, SIM_OP_AGAIN };

/* ---- sim_op_*.c: an attempt each ---- */
/* Its connection; or a negative errno: -ENOTSOCK, -ENOTCONN. */
int sim_op_conn(const struct weir_sim *sim, const struct sim_op *op);
/* Flags of a completion with buffers: IORING_CQE_F_BUFFER and so on. */
uint32_t sim_op_buffer_flags(struct sim_op *op);
/* 0, or the errno with which the kernel refuses the entry. */
int sim_op_recv_prepare(struct sim_op *op);
/* Takes buffers of its group; gives back those that @bytes did not use. */
int sim_op_recv_take(struct weir_sim *sim, struct sim_op *op);
void sim_op_recv_commit(struct weir_sim *sim, struct sim_op *op,
			uint32_t bytes);
int sim_op_send_prepare(struct sim_op *op);
void sim_op_cache_iov(struct sim_ring *ring, uint32_t count);
bool sim_op_is_zerocopy(const struct sim_op *op);
/* A completion reports @res bytes. */
void sim_op_moved(struct weir_sim *sim, const struct sim_op *op, int res);
/* The result of a zero-copy send is posted: its notice comes later. */
void sim_op_send_notice(struct weir_sim *sim, const struct sim_op *op);
void sim_op_notice_run(struct weir_sim *sim, struct sim_op *op);
struct sim_op *sim_op_take(struct weir_sim *sim);
int sim_op_timeout_prepare(struct weir_sim *sim, struct sim_op *op);
int sim_op_msg(struct weir_sim *sim, struct sim_op *op);
int sim_msg_sync(struct weir_sim *sim, const void *arg, uint32_t count);
/* Messages arrive in the order in which they were sent. */
bool sim_op_message_is_next(const struct weir_sim *sim,
			    const struct sim_op *message);
void sim_op_message_run(struct weir_sim *sim, struct sim_op *message);
int sim_op_timeout(struct weir_sim *sim, struct sim_op *op);
/* Its timer has fired, and the completion is pending. */
bool sim_op_timeout_has_fired(struct weir_sim *sim, const struct sim_op *op);
int sim_op_timeout_remove(struct weir_sim *sim, struct sim_op *op);
/* UINT64_MAX: none. */
uint64_t sim_op_next_due_ns(const struct weir_sim *sim);
int sim_op_poll(struct weir_sim *sim, struct sim_op *op);
bool sim_op_poll_is_ready(const struct weir_sim *sim, const struct sim_op *op);
int sim_op_recv(struct weir_sim *sim, struct sim_op *op);
int sim_op_send(struct weir_sim *sim, struct sim_op *op);
int sim_op_cancel(struct weir_sim *sim, struct sim_op *op);
int sim_op_accept(struct weir_sim *sim, struct sim_op *op);
int sim_op_socket(struct weir_sim *sim, struct sim_op *op);
int sim_op_install(struct weir_sim *sim, struct sim_op *op);
int sim_op_shutdown(struct weir_sim *sim, struct sim_op *op);
int sim_op_close(struct weir_sim *sim, struct sim_op *op);
int sim_op_command(struct weir_sim *sim, struct sim_op *op);

/* ---- sim_words.c ---- */
/* A line of the story: the operation, and its action or result. */
void sim_note_op(struct weir_sim *sim, const struct sim_op *op,
		 const char *what);
void sim_note_result(struct weir_sim *sim, const struct sim_op *op,
		     const char *what, int res);

/* ---- sim_op_pieces.c ---- */
/* The group of provided buffers that the entry names; NULL: none. */
struct wi_soft_group *sim_op_group(struct weir_sim *sim,
				   const struct sim_op *op);
/* Checks the group: lending a buffer twice, or too many, is a violation. */
void sim_group_look(struct weir_sim *sim, struct wi_soft_group *group);
/* As wi_soft_group_take(), after sim_group_look(). */
int sim_group_take(struct weir_sim *sim, struct wi_soft_group *group,
		   uint32_t max_bytes, enum wi_soft_take_mode mode,
		   uint32_t guess, struct wi_soft_take *out_take);
/* The piece at byte @at. */
struct iovec sim_op_piece(const struct sim_op *op, uint32_t at);
/* Its pieces: the entry's own buffer; an array; buffers of its group. */
void sim_op_pieces_one(struct sim_op *op);
int sim_op_pieces_read(struct sim_op *op, const struct iovec *iov,
		       size_t count); /* 0 or -EMSGSIZE */
void sim_op_pieces_take(struct weir_sim *sim, struct sim_op *op,
			const struct wi_soft_take *take);

#endif

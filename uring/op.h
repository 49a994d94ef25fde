/* op.h - every typed call that fills an SQE, in one include
 *
 * The calls that weir's own server makes are in op/:
 *
 *     op_sqe.h       what all share: pointers, slots for descriptors
 *     op_socket.h    sockets in slots        op_recv.h      recv
 *     op_send.h      send, sendmsg           op_cancel.h    cancel
 *     op_read.h      a read
 *
 * The others are for programs that use only the ring. They are in extra/:
 *
 *     op_flags.h     links, drain, skip, group selection, poll first
 *     op_accept.h    bind, listen, accept    op_socket.h    other socket calls
 *     op_stream.h    bundles, vectors        op_datagram.h  recvmsg, sendto
 *     op_cancel.h    cancel many             op_zerocopy.h  zero copy
 *     op_wait.h      poll, epoll, timeouts   op_file.h      files, pipes
 *     op_sync.h      nop, messages, futexes
 *
 * Each takes a new entry from weir_ring_take_sqe() (all zero) and fills the
 * fields of its operation. The caller then sets sqe->user_data, and calls
 * weir_op_on_slot() if `fd` is a slot of the table of direct descriptors.
 * Below, `res` is cqe->res; errors are negative errno. Versions are mainline's;
 * distributions backport.
 *
 * "Refused here" means an assert, where the kernel would only say -EINVAL.
 */
#ifndef WEIR_URING_OP_H
#define WEIR_URING_OP_H

#include "extra/op_accept.h"
#include "extra/op_cancel.h"
#include "extra/op_datagram.h"
#include "extra/op_file.h"
#include "extra/op_flags.h"
#include "extra/op_socket.h"
#include "extra/op_stream.h"
#include "extra/op_sync.h"
#include "extra/op_wait.h"
#include "extra/op_zerocopy.h"
#include "op/op_cancel.h"
#include "op/op_read.h"
#include "op/op_recv.h"
#include "op/op_send.h"
#include "op/op_socket.h"
#include "op/op_sqe.h"

#endif

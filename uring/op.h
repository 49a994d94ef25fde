/* op.h - every typed call that fills an SQE, in one include
 *
 * Those that weir's own server makes, in op/:
 *
 *     op_sqe.h       what all share: pointers, slots for descriptors
 *     op_socket.h    sockets in slots        op_recv.h      recv
 *     op_send.h      send, sendmsg           op_cancel.h    cancel
 *     op_read.h      a read
 *
 * The others, for users of the ring alone, in extra/:
 *
 *     op_flags.h     links, drain, skip, group selection, poll first
 *     op_accept.h    bind, listen, accept    op_socket.h    other socket calls
 *     op_stream.h    bundles, vectors        op_datagram.h  recvmsg, sendto
 *     op_cancel.h    cancel many             op_zerocopy.h  zero copy
 *     op_wait.h      poll, epoll, timeouts   op_file.h      files, pipes
 *     op_sync.h      nop, messages, futexes
 *
 * They take an entry fresh from weir_ring_take_sqe() (all zero) and fill what
 * the operation needs. The caller then sets sqe->user_data, and
 * weir_op_on_slot() if `fd` is a slot of the table of direct descriptors.
 * Results are those of the CQE: `res`, with errors as negative errno. Versions
 * are those of mainline; distributions backport.
 *
 * Wrong use that the kernel would answer with a bare -EINVAL meets an assert.
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

/* op.h - one inline per operation, each filling one SQE
 *
 *     op_sqe.h     what any operation may carry: slot, link, skip, group
 *     op_socket.h  socket, bind, listen, accept, connect, close, options
 *     op_recv.h    recv, recvmsg, bundles          op_send.h    and sends
 *     op_wait.h    poll, epoll, timeouts           op_cancel.h  cancel
 *     op_sync.h    nop, messages, futexes          op_file.h    files, pipes
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

#include "op/op_cancel.h"
#include "op/op_file.h"
#include "op/op_recv.h"
#include "op/op_send.h"
#include "op/op_socket.h"
#include "op/op_sqe.h"
#include "op/op_sync.h"
#include "op/op_wait.h"

#endif

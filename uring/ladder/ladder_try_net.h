/* ladder_try_net.h - one try per rung of sockets and messages; results as
 * wi_ladder_try()
 */
#ifndef WEIR_URING_LADDER_TRY_NET_H
#define WEIR_URING_LADDER_TRY_NET_H

#include "ladder_stage.h"

int wi_try_file_table(struct wi_stage *stage);
int wi_try_accept(struct wi_stage *stage);
int wi_try_bufring(struct wi_stage *stage);
int wi_try_recv_multishot(struct wi_stage *stage);
int wi_try_install_slot(struct wi_stage *stage);
int wi_try_socket_cmd(struct wi_stage *stage);
int wi_try_recv_bundle(struct wi_stage *stage);
int wi_try_bufring_incremental(struct wi_stage *stage);
int wi_try_send_vectorized(struct wi_stage *stage);
int wi_try_send_zc(struct wi_stage *stage);
int wi_try_bind_listen(struct wi_stage *stage);
int wi_try_msg_ring(struct wi_stage *stage);
int wi_try_send_msg_ring(struct wi_stage *stage);
int wi_try_sync_cancel(struct wi_stage *stage);

#endif

/* ladder_try_steer.h - the rungs of steering: what may choose the listener of a
 *                      new connection; each as wi_ladder_try() */
#ifndef WEIR_URING_LADDER_TRY_STEER_H
#define WEIR_URING_LADDER_TRY_STEER_H

#include "ladder_stage.h"

int wi_try_steer_ebpf(struct wi_stage *stage);
int wi_try_steer_incoming_cpu(struct wi_stage *stage);
int wi_try_steer_cbpf(struct wi_stage *stage);

#endif

/* ladder_try_steer.h - one try per rung of steering; results as wi_ladder_try()
 */
#ifndef WEIR_URING_LADDER_TRY_STEER_H
#define WEIR_URING_LADDER_TRY_STEER_H

#include "ladder_stage.h"

int wi_try_steer_ebpf(struct wi_stage *stage);
int wi_try_steer_incoming_cpu(struct wi_stage *stage);
int wi_try_steer_cbpf(struct wi_stage *stage);

#endif

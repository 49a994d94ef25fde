/* rungs.h - a ladder as JSON, the same from every tool */
#ifndef WEIR_TOOLS_RUNGS_H
#define WEIR_TOOLS_RUNGS_H

#include "json.h"

#include <weir/uring/ladder.h>

/** rungs_json() - "rungs", an array, in the object that is open
 *  @rungs: shape [WEIR_RUNG_COUNT] */
void rungs_json(struct json *json, const struct weir_rung *rungs);

/** rungs_role_name() - "required", "used", "known". */
const char *rungs_role_name(enum weir_rung_role role);

#endif

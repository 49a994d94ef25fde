#include "rungs.h"

const char *rungs_role_name(enum weir_rung_role role)
{
	switch (role) {
	case WEIR_ROLE_REQUIRED:
		return "required";
	case WEIR_ROLE_USED:
		return "used";
	case WEIR_ROLE_KNOWN:
		break;
	}
	return "known";
}

void rungs_json(struct json *json, const struct weir_rung *rungs)
{
	json_array_open(json, "rungs");
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		const struct weir_rung *rung = &rungs[i];
		json_object_open(json, NULL);
		json_text(json, "name", rung->name);
		json_text(json, "state", weir_rung_state_name(rung->state));
		json_bool(json, "is_on", rung->state == WEIR_RUNG_ON);
		json_text(json, "role", rungs_role_name(rung->role));
		json_bool(json, "is_required",
			  rung->role == WEIR_ROLE_REQUIRED);
		json_u64(json, "errno", (uint64_t)-rung->err);
		json_text(json, "cause", rung->cause);
		json_text(json, "remedy", rung->remedy);
		json_text(json, "since", rung->since);
		json_text(json, "what", rung->what);
		json_text(json, "costs", rung->costs);
		json_object_close(json);
	}
	json_array_close(json);
}

#include "../rung.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(WEIR_RUNG_COUNT < 64, "a set of rungs is 64 bits");

static const struct {
	const char *name;
	enum weir_rung_role role;
} rung_table[WEIR_RUNG_COUNT] = {
#define RUNG_ROW(id, name, role, since, what, costs)                           \
	[WEIR_RUNG_##id] = { name, WEIR_ROLE_##role },
	WEIR_RUNGS(RUNG_ROW)
#undef RUNG_ROW
};

const char *weir_rung_name(enum weir_rung_id id)
{
	return rung_table[id].name;
}

weir_rung_set weir_rungs_of_role(enum weir_rung_role role)
{
	weir_rung_set set = 0;
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if (rung_table[i].role == role)
			set |= weir_rung_bit((enum weir_rung_id)i);
	return set;
}

static bool names_equal(const char *name, const char *text, size_t text_bytes)
{
	return strlen(name) == text_bytes &&
	       memcmp(name, text, text_bytes) == 0;
}

/* The rungs of one name; 0: an unknown name. */
static weir_rung_set rungs_named(const char *text, size_t text_bytes)
{
	if (names_equal("all", text, text_bytes))
		return weir_rungs_of_role(WEIR_ROLE_USED) |
		       weir_rungs_of_role(WEIR_ROLE_KNOWN);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if (names_equal(rung_table[i].name, text, text_bytes))
			return weir_rung_bit((enum weir_rung_id)i);
	return 0;
}

static int rungs_unknown(const char *source, const char *text,
			 size_t text_bytes, struct weir_error *error)
{
	const size_t shown = text_bytes < 40 ? text_bytes : 40;
	char names[WEIR_RUNG_COUNT * 24];
	size_t used = 0;

	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used,
					 "%s, ", rung_table[i].name);
	return weir_error_set(error, -EINVAL,
			      "%s names '%.*s', which is no rung; give some "
			      "of: %sor all",
			      source, (int)shown, text, names);
}

int weir_rungs_parse(const char *text, const char *source,
		     weir_rung_set *out_set, struct weir_error *error)
{
	weir_rung_set set = 0;

	while (text != NULL && *text != '\0') {
		const size_t bytes = strcspn(text, ",");
		const weir_rung_set named = rungs_named(text, bytes);
		if (named == 0)
			return rungs_unknown(source, text, bytes, error);
		set |= named;
		text += bytes;
		if (*text == ',' && *++text == '\0') /* a comma without a name
						      * after it */
			return rungs_unknown(source, text, 0, error);
	}
	*out_set = set;
	return 0;
}

int weir_rungs_forced_off(weir_rung_set *out_set, struct weir_error *error)
{
	return weir_rungs_parse(secure_getenv(WEIR_FORCE_OFF), WEIR_FORCE_OFF,
				out_set, error);
}

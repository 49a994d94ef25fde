#include "close_reason.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *text;
} close_causes[WEIR_CLOSE_CAUSE_COUNT] = {
#define CLOSE_CAUSE_ROW(cause, key, line) { key, line },
	WEIR_CLOSE_CAUSES(CLOSE_CAUSE_ROW)
#undef CLOSE_CAUSE_ROW
};

const char *weir_close_cause_name(enum weir_close_cause cause)
{
	return cause < WEIR_CLOSE_CAUSE_COUNT ? close_causes[cause].name : "?";
}

char *weir_close_reason_text(const struct weir_close_reason *reason,
			     char *out_text)
{
	const char *text = reason->cause < WEIR_CLOSE_CAUSE_COUNT
				   ? close_causes[reason->cause].text
				   : "?";
	int length = snprintf(out_text, WEIR_CLOSE_TEXT_BYTES, "%s", text);
	char *end = out_text + length;
	size_t room = WEIR_CLOSE_TEXT_BYTES - (size_t)length;

	if (reason->limit != 0)
		(void)snprintf(end, room, ": %llu bytes, the limit is %llu",
			       (unsigned long long)reason->value,
			       (unsigned long long)reason->limit);
	else if (reason->cause == WEIR_CLOSE_PEER && reason->value != 0)
		(void)snprintf(end, room,
			       " with %llu bytes of an unfinished message",
			       (unsigned long long)reason->value);
	else if (reason->err != 0)
		(void)snprintf(end, room, ": %s", strerror(-reason->err));
	return out_text;
}

#include "sim_assert.h"

#include "tape_text.h"

#undef NDEBUG /* it is declared without */
#include <assert.h>
#include <features.h>
#include <stdio.h>
#include <stdlib.h>

#define RULE "an assertion fails"

static char rule[SIM_TAPE_RULE_BYTES] = RULE;

const char *sim_assert_rule(void)
{
	return rule;
}

void sim_assert_forget(void)
{
	rule[sizeof(RULE) - 1] = '\0';
}

#ifdef __GLIBC__
/* assert() calls this instead of glibc's function. Weak: the program's own
 * function comes first. Visible: for a shared libweir too. The place comes
 * first, so that a long expression does not cut it off. */
__attribute__((weak, visibility("default"))) void __assert_fail(
	const char *expression, const char *file, unsigned int line,
	const char *function)
{
	(void)snprintf(rule, sizeof(rule), RULE ": %s:%u: %s", file, line,
		       expression);
	(void)fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line,
		      function, expression);
	abort();
}
#endif

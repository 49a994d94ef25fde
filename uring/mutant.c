/* mutant.c - selects the planted bug of this process; -Dmutants=true only
 *
 * WEIR_MUTANT=NAME plants the bug of that name. An unknown name ends the
 * process, because a test without a planted bug would prove nothing.
 */
#include "mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker defines both: start and end of the section of the markers. */
extern struct wi_mutant __start_wi_mutants[];
extern struct wi_mutant __stop_wi_mutants[];

bool wi_mutant_is_planted;

static __attribute__((constructor)) void mutant_plant(void)
{
	const char *name = getenv("WEIR_MUTANT");
	if (name == NULL)
		return;
	for (struct wi_mutant *mutant = __start_wi_mutants;
	     mutant != __stop_wi_mutants; mutant++) {
		if (strcmp(name, mutant->name) != 0)
			continue;
		mutant->is_planted = true;
		wi_mutant_is_planted = true;
	}
	if (!wi_mutant_is_planted) {
		fprintf(stderr, "WEIR_MUTANT=%s: no marker has this name\n",
			name);
		exit(2);
	}
}

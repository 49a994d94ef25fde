/* mutant.h - bugs that a test build can plant, one at a time
 *
 *     conn->recv_armed = WI_MUTANT("f-more-is-ignored", has_more, true);
 *                                   name                right     wrong
 *
 * A normal build compiles the right expression only. A build with
 * -Dmutants=true compiles both, for all markers. It evaluates the wrong one in
 * a process that was started with that name in the environment:
 * WEIR_MUTANT=f-more-is-ignored. The simulation must find each bug:
 * test/sim/mutants.
 *
 * A marker has a unique name, and a row in test/sim/mutants.list. If the bug is
 * an extra or a missing call, the other side is (void)0.
 */
#ifndef WEIR_URING_MUTANT_H
#define WEIR_URING_MUTANT_H

#include <stdbool.h>

/* One per marker, in a section that mutant.c walks. A marker in a header is
 * repeated in each file that includes it. */
struct wi_mutant {
	const char *name;
	bool is_planted;
};

extern bool wi_mutant_is_planted; /* any of them */

#ifdef WI_MUTANTS
#define WI_MUTANT_IS_PLANTED(text)                                             \
	__extension__({                                                        \
		static struct wi_mutant wi_mutant                              \
			__attribute__((section("wi_mutants"), used)) = {       \
				.name = text,                                  \
			};                                                     \
		wi_mutant_is_planted ? wi_mutant.is_planted : false;           \
	})
#define WI_MUTANT(name, right, wrong)                                          \
	(WI_MUTANT_IS_PLANTED(name) ? (wrong) : (right))
#else
#define WI_MUTANT(name, right, wrong) (right)
#endif

#endif

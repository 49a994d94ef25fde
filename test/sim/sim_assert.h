/* sim_assert.h - the assertion that has failed
 *
 *     assert(x) fails --> its text is kept --> abort() --> the rule of a world
 */
#ifndef WEIR_SIM_ASSERT_H
#define WEIR_SIM_ASSERT_H

/* The rule that an abort() breaks: place and expression of the failed
 * assertion; static, until the next one. Other calls of abort() have no place,
 * so they share one rule. Without glibc, all share it. */
const char *sim_assert_rule(void);

/* A new world begins: no assertion has failed in it. */
void sim_assert_forget(void);

#endif

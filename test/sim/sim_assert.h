/* sim_assert.h - which assertion it was that has failed
 *
 *     assert(x) fails --> its text is kept --> abort() --> the rule of a world
 */
#ifndef WEIR_SIM_ASSERT_H
#define WEIR_SIM_ASSERT_H

/* The rule that an abort() breaks: of a failed assertion its place and its
 * expression, static, up to the next one. No other call of abort() says where
 * it is, so those are one rule; with another C library than glibc all are. */
const char *sim_assert_rule(void);

/* A world begins: none has failed in it. */
void sim_assert_forget(void);

#endif

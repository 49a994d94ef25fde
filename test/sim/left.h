/* left.h - what a loop leaves behind when it ends: a rule of stories and cases
 */
#ifndef WEIR_SIM_LEFT_H
#define WEIR_SIM_LEFT_H

struct weir_loop;
struct weir_sim;

/* Call it after the loop has ended and before its rings close. Its wheel must
 * be empty, and each of its buffers lent or parked. Not for a loop that left an
 * operation behind after a timeout. */
void sim_check_left(struct weir_sim *sim, const struct weir_loop *loop);

#endif

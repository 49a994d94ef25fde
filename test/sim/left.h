/* left.h - what a loop that has ended has left: a rule of stories and of cases
 */
#ifndef WEIR_SIM_LEFT_H
#define WEIR_SIM_LEFT_H

struct weir_loop;
struct weir_sim;

/* A loop that has ended, and given up nothing, before its rings go: its wheel
 * is empty, and each of its buffers is lent or on the shelf. */
void sim_check_left(struct weir_sim *sim, const struct weir_loop *loop);

#endif

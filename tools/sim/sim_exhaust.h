/* sim_exhaust.h - weir-sim --exhaust */
#ifndef WEIR_TOOLS_SIM_EXHAUST_H
#define WEIR_TOOLS_SIM_EXHAUST_H

#include <stdbool.h>

struct weir_tape;

/* @name: of a case, or "all". Return: an exit status. */
int sim_exhaust(struct weir_tape *tape, const char *name, bool is_quiet);

#endif

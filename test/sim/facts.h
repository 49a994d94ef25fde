/* facts.h - the source of each fault and each free choice of the simulation
 *
 * Nothing happens in a simulated world that has no row here: behaviour that no
 * kernel has would show bugs that no user can meet.
 */
#ifndef WEIR_SIM_FACTS_H
#define WEIR_SIM_FACTS_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct sim_fact - one thing that may happen
 * @fault:      its class, WEIR_FAULT_*; 0: a choice of every tape
 * @opcode:     the operation that fails with @error
 * @error:      a negative errno, or 0
 * @what:       in words, if it is no errno
 * @known_from: the manual page, the RFC, the function of Linux 6.18, the
 *              section of the io_uring facts with [V] if it was seen on a real
 *              kernel, or the suite that sees it in every run
 */
struct sim_fact {
	uint32_t fault;
	uint8_t opcode;
	int error;
	const char *what;
	const char *known_from;
};

extern const struct sim_fact sim_facts[];
extern const size_t sim_fact_count;

/* The @nth errno that @opcode may fail with; 0: it has fewer. */
int sim_fact_errno(uint8_t opcode, uint32_t nth);

#endif

/* doctor.h - the parts of weir-doctor
 *
 *     doctor.c        options and verdict
 *     doctor_host.c   the limits that this host sets
 *     doctor_print.c  text and JSON
 */
#ifndef WEIR_TOOLS_DOCTOR_H
#define WEIR_TOOLS_DOCTOR_H

#include <weir/uring/ladder.h>

#include <stdio.h>

enum doctor_verdict {
	DOCTOR_OK = 0,
	DOCTOR_INFO, /* matters when figures are compared; nothing to do */
	DOCTOR_LOW,  /* weir serves, but less than it could */
	DOCTOR_BAD,  /* weir cannot serve */
};

enum {
	DOCTOR_FACTS_MAX = 20,
	DOCTOR_VALUE_BYTES = 128,
};

/**
 * struct doctor_fact - one limit or circumstance of the host
 * @wanted, @why, @remedy: constant text; @remedy is what to do where the
 *                         verdict is LOW or BAD
 */
struct doctor_fact {
	const char *name;
	const char *wanted;
	const char *why;
	const char *remedy;
	enum doctor_verdict verdict;
	char value[DOCTOR_VALUE_BYTES];
};

/**
 * struct doctor - all that was found
 * @root: prefix of /proc and /sys; "" for this host
 */
struct doctor {
	const char *root;
	bool can_run;
	struct weir_rung rungs[WEIR_RUNG_COUNT];
	struct doctor_fact facts[DOCTOR_FACTS_MAX];
	int fact_count;
};

/** doctor_read_host() - fill in the facts. */
void doctor_read_host(struct doctor *doctor);

/** doctor_print() - for people. */
void doctor_print(const struct doctor *doctor, bool has_color, FILE *file);

/** doctor_json() - for programs. */
void doctor_json(const struct doctor *doctor, FILE *file);

/* Its options; the fuzzer parses with the same table (doctor.c). */
struct cli_tool;
extern const struct cli_tool doctor_tool;

#endif

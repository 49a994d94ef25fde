/* tape_text.h - tapes in files: hex for people, or the bytes themselves
 *
 *     # story: echo
 *     # rule: a healthy peer was not echoed in full
 *     # whatever else there is to say of it
 *     00 81 00 04 ...
 *
 * A file of which all is hex digits, white space and lines that begin with #
 * is text; any other is raw.
 */
#ifndef WEIR_SIM_TAPE_TEXT_H
#define WEIR_SIM_TAPE_TEXT_H

#include "tape.h"

#include <stdio.h>

enum { SIM_TAPE_STORY_BYTES = 32, SIM_TAPE_RULE_BYTES = 128 };

struct sim_tape_text {
	char story[SIM_TAPE_STORY_BYTES]; /* empty: it does not say */
	char rule[SIM_TAPE_RULE_BYTES];
	uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	size_t byte_count;
};

/* Return: 0; -EFBIG: longer than a tape; -EINVAL: hex with a digit missing;
 * or what fopen() says. */
int sim_tape_text_load(const char *file, struct sim_tape_text *out_text);

/* @text: hex, as in a file. Return: 0; -EFBIG; -EINVAL: a digit is missing, or
 * it is something else. */
int sim_tape_text_parse(const char *text, struct sim_tape_text *out_text);

/* Return: 0, or a negative errno. */
int sim_tape_text_save(const char *file, const struct sim_tape_text *text);

/* In lines of 24. */
void sim_tape_text_print(const uint8_t *bytes, size_t byte_count, FILE *out);

#endif

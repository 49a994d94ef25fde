/* tape_text.h - tapes in files: hex for people, or raw bytes
 *
 *     # story: echo
 *     # rule: a healthy peer was not echoed in full
 *     # any other remark
 *     00 81 00 04 ...
 *
 * A file is text if it holds only hex digits, white space and lines that begin
 * with #; any other file is raw.
 */
#ifndef WEIR_SIM_TAPE_TEXT_H
#define WEIR_SIM_TAPE_TEXT_H

#include "tape.h"

#include <stdio.h>

enum { SIM_TAPE_STORY_BYTES = 32, SIM_TAPE_RULE_BYTES = 128 };

struct sim_tape_text {
	char story[SIM_TAPE_STORY_BYTES]; /* empty: not given */
	char rule[SIM_TAPE_RULE_BYTES];
	uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	size_t byte_count;
};

/* Return: 0; -EFBIG: longer than a tape; -EINVAL: hex with a digit missing; or
 * the errno of fopen(). */
int sim_tape_text_load(const char *file, struct sim_tape_text *out_text);

/* @text: hex, as in a file. Return: 0; -EFBIG; -EINVAL: a digit is missing, or
 * it is not hex. */
int sim_tape_text_parse(const char *text, struct sim_tape_text *out_text);

/* Return: 0, or a negative errno. */
int sim_tape_text_save(const char *file, const struct sim_tape_text *text);

/* Lines of 24 bytes. */
void sim_tape_text_print(const uint8_t *bytes, size_t byte_count, FILE *out);

#endif

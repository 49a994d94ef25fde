/* json_read.h - JSON as RFC 8259 has it, read strictly, for the tests */
#ifndef WEIR_TEST_JSON_READ_H
#define WEIR_TEST_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * json_strict_read() - is this one JSON value, and nothing but white space
 * behind it?
 * @on_part: of each part in order: '{' '}' '[' ']' 'k' (a key), 's' (a string,
 *           its value as it is after escapes), 'n' (a number, as written), 'l'
 *           (true, false, null); @bytes is borrowed
 *
 * A string that is not UTF-8 (RFC 3629) is not JSON.
 */
bool json_strict_read(const char *text, size_t byte_count,
		      void (*on_part)(char kind, const uint8_t *bytes,
				      size_t byte_count, void *ctx),
		      void *ctx);

#endif

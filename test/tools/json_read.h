/* json_read.h - a strict JSON reader (RFC 8259), for the tests */
#ifndef WEIR_TEST_JSON_READ_H
#define WEIR_TEST_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * json_strict_read() - whether a text is one JSON value and then only white
 * space
 * @on_part: called for each part in order: '{' '}' '[' ']' 'k' (a key), 's' (a
 *           string, without escapes), 'n' (a number, as written), 'l' (true,
 *           false, null); @bytes is borrowed
 *
 * A string that is not UTF-8 (RFC 3629) is not JSON.
 */
bool json_strict_read(const char *text, size_t byte_count,
		      void (*on_part)(char kind, const uint8_t *bytes,
				      size_t byte_count, void *ctx),
		      void *ctx);

#endif

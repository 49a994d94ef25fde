/* pattern.h - what weir-load sends: computed at both ends, never stored
 *
 *     table:  [ pseudo-random bytes .............................. ]
 *                    |<- payload of (connection, sequence) ->|
 *
 * A hash of (connection, sequence) selects offset and length of a slice of one
 * table. Sending copies the slice, and checking compares with it. A message
 * that is lost, repeated, reordered, or from another connection does not match.
 */
#ifndef WEIR_TOOLS_PATTERN_H
#define WEIR_TOOLS_PATTERN_H

#include <weir/proto/frame.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct pattern - read-only once it is open; shared by all threads
 * @is_raw: messages have no length prefix
 * @table:  owned; shape [table_bytes]
 */
struct pattern {
	struct weir_frame_format format;
	bool is_raw;
	size_t payload_bytes_min;
	size_t payload_bytes_max;
	uint8_t *table;
	size_t table_bytes;
};

/**
 * struct pattern_message - one message, as it goes over the wire
 * @payload: into the table
 */
struct pattern_message {
	const uint8_t *payload;
	size_t payload_bytes;
	size_t prefix_bytes;
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
};

/**
 * pattern_open() - make the table; the other fields are set by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int pattern_open(struct pattern *pattern);
void pattern_close(struct pattern *pattern);

/** pattern_message() - number @sequence of connection @conn_id. */
void pattern_message(const struct pattern *pattern, uint64_t conn_id,
		     uint64_t sequence, struct pattern_message *out_message);

static inline size_t pattern_wire_bytes(const struct pattern_message *message)
{
	return message->prefix_bytes + message->payload_bytes;
}

/** pattern_write() - all of pattern_wire_bytes() to @out. */
void pattern_write(const struct pattern_message *message, uint8_t *out);

/**
 * pattern_match() - do these bytes continue the message at @offset?
 * @offset: into the wire form, prefix included
 *
 * Return: how many of @byte_count bytes do, up to the end of the message.
 */
size_t pattern_match(const struct pattern_message *message, size_t offset,
		     const uint8_t *bytes, size_t byte_count);

#endif

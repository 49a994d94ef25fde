/* test_region_flight.h - a send that stays in flight on the real kernel */
#ifndef WEIR_TEST_REGION_FLIGHT_H
#define WEIR_TEST_REGION_FLIGHT_H

#include "net/service.h"

/* A loop with one connection, whose peer does not read. */
struct flight {
	struct weir_loop *loop;
	struct weir_service service;
	struct weir_conn *conn;
	uint8_t *payload; /* the bytes to send, in one chunk */
	int peer_fd;
	uint64_t closes;
};

/* Returns once the kernel has a send that cannot complete. */
void flight_start(struct flight *flight);

/* The last byte of that send. */
uint8_t *flight_byte(const struct flight *flight);

/* The peer closes, so the send ends. */
void flight_land(struct flight *flight);

/* Only after flight_land(). */
void flight_end(struct flight *flight);

#endif

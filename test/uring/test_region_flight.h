/* test_region_flight.h - a send that stays in flight on the real kernel */
#ifndef WEIR_TEST_REGION_FLIGHT_H
#define WEIR_TEST_REGION_FLIGHT_H

#include "net/service.h"

/* A loop with one connection, whose peer does not read. */
struct flight {
	struct weir_loop *loop;
	struct weir_service service;
	struct weir_conn *conn;
	uint8_t *payload; /* all that is to be sent, in one chunk */
	int peer_fd;
	uint64_t closes;
};

/* Until the kernel has a send that it cannot end. */
void flight_start(struct flight *flight);

/* The last byte of that send. */
uint8_t *flight_byte(const struct flight *flight);

/* The peer goes away, and so the send ends. */
void flight_land(struct flight *flight);

/* Only if it has landed. */
void flight_end(struct flight *flight);

#endif

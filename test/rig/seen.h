/* seen.h - single values from the reports of a server */
#ifndef WEIR_TEST_SEEN_H
#define WEIR_TEST_SEEN_H

#include "net/server.h"

struct weir_server_snapshot seen_server(struct weir_server *server);

/* The loop may be absent. */
struct weir_loop_snapshot seen_loop(struct weir_server *server, uint32_t index);

/* The port of the first address. */
uint16_t seen_port(struct weir_server *server);

/* Sum of the counters of all loops. */
struct weir_loop_stats seen_stats(struct weir_server *server);

#endif

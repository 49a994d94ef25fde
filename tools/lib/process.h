/* process.h - what a tool asks about its own process: time, CPU, limits */
#ifndef WEIR_TOOLS_PROCESS_H
#define WEIR_TOOLS_PROCESS_H

#include <stdint.h>

enum {
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

/** process_now_ns() - monotonic time, from the vDSO: no kernel entry. */
uint64_t process_now_ns(void);

struct process_cpu {
	double user_s;
	double system_s;
};

/** process_cpu_read() - all threads, since the start. Source: getrusage(2). */
struct process_cpu process_cpu_read(void);

/** process_streams_open() - /dev/null for each closed standard stream; best
 *                           effort. Call it first: otherwise the next
 *                           descriptor takes the number of a stream, and the
 *                           tool's output goes there. */
void process_streams_open(void);

/** process_fd_limit_raise() - raise the soft descriptor limit to the hard one;
 *                             best effort. Source: setrlimit(2). */
void process_fd_limit_raise(void);

#endif

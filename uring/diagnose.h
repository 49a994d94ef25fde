/* diagnose.h - why this host refuses a ring, in words
 *
 * The errno of io_uring_setup(2) alone is ambiguous: EPERM means the sysctl or
 * a seccomp filter. Files in /proc show which. One function reads them and
 * another explains them, so a test can cover every explanation.
 */
#ifndef WEIR_URING_DIAGNOSE_H
#define WEIR_URING_DIAGNOSE_H

#include "error.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum {
	WEIR_HOST_UNKNOWN = -1, /* the file is missing or unreadable */
};

struct weir_host_facts {
	int io_uring_disabled;  /* sysctl: 0, 1, 2, or UNKNOWN (before 6.6) */
	int seccomp_mode;       /* 0 none, 1 strict, 2 filter, or UNKNOWN */
	uint64_t memlock_bytes; /* soft limit; UINT64_MAX is unlimited */
	uint64_t fd_limit;      /* soft limit of open descriptors */
};

/** weir_fd_limit() - the soft limit of open descriptors. Thread: any. */
uint64_t weir_fd_limit(void);

/**
 * weir_host_facts_read() - read the limits and settings of this host
 * @out_facts: always filled; what cannot be read is WEIR_HOST_UNKNOWN
 *
 * Thread: any. Source: proc(5), getrlimit(2); kernel.io_uring_disabled is
 * Linux 6.6.
 */
void weir_host_facts_read(struct weir_host_facts *out_facts);

/**
 * weir_diagnose_setup() - one clear error for a ring that could not be opened
 * @err:        negative errno of io_uring_setup(2), or of the mapping
 * @ring_bytes: memory that the ring needs
 * @facts:      of this host
 * @error:      filled: cause, value, limit, remedy
 *
 * Return: @err. Thread: any.
 */
int weir_diagnose_setup(int err, uint64_t ring_bytes,
			const struct weir_host_facts *facts,
			struct weir_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif

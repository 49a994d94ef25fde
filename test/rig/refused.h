/* refused.h - operations that the kernel refuses: one table row, one check
 *
 *     { "of a file", fill_send, REFUSED_FILE, -ENOTSOCK }
 *
 *     a rig, the object --> prepare --> take, fill --> the result
 *                                                  --> and its notice, if any
 */
#ifndef WEIR_TEST_REFUSED_H
#define WEIR_TEST_REFUSED_H

#include "op_rig.h"

/* The descriptor of the entry; opened for the row, closed after it. */
enum refused_object {
	REFUSED_NOTHING, /* -1 */
	REFUSED_FILE,
	REFUSED_FOLDER,    /* /proc */
	REFUSED_STREAM,    /* TCP, neither bound nor connected */
	REFUSED_DATAGRAMS, /* UDP, the same */
	REFUSED_LISTENER,  /* TCP on loopback */
	REFUSED_TCP,       /* connected over loopback */
	REFUSED_UNIX,      /* connected, stream */
	REFUSED_READ,      /* an eventfd, on which a read with FIRST waits */
};

struct refused {
	const char *when;
	void (*fill)(struct io_uring_sqe *sqe, int fd);
	enum refused_object object;
	int want;                         /* a negative errno */
	void (*prepare)(struct rig *rig); /* before the entry is taken; NULL */
};

/* Runs the row, and fails the running test on a different answer of the
 * kernel. */
void refused_check(const struct refused *refused);

#endif

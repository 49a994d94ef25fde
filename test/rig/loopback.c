#include "loopback.h"

#include "support.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* The data, its ACK, the data that waited for the ACK, and its ACK. */
enum { GENERATIONS = 4 };

void loopback_open(struct loopback *loopback)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t address_bytes = sizeof(address);
	cpu_set_t here;

	ck_assert_int_eq(
		sched_getaffinity(0, sizeof(loopback->cpus), &loopback->cpus),
		0);
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(here), &here), 0);

	loopback->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(loopback->fd, 0);
	ck_assert_int_eq(bind(loopback->fd, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	ck_assert_int_eq(getsockname(loopback->fd, (struct sockaddr *)&address,
				     &address_bytes),
			 0);
	ck_assert_int_eq(connect(loopback->fd, (struct sockaddr *)&address,
				 sizeof(address)),
			 0);
}

void loopback_close(struct loopback *loopback)
{
	ck_assert_int_eq(close(loopback->fd), 0);
	ck_assert_int_eq(
		sched_setaffinity(0, sizeof(loopback->cpus), &loopback->cpus),
		0);
}

/* No ck_assert: Check writes to a file for each. */
static void flush_once(int fd)
{
	char byte = 0;
	ssize_t count;
	if (send(fd, &byte, 1, 0) != 1)
		ck_abort_msg("send: %s", strerror(errno));
	do
		count = recv(fd, &byte, 1, 0);
	while (count < 0 && errno == EINTR);
	if (count != 1)
		ck_abort_msg("recv: %s", strerror(errno));
}

void loopback_flush(const struct loopback *loopback)
{
	for (int i = 0; i < GENERATIONS; i++)
		flush_once(loopback->fd);
}

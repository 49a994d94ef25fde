#include "process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t process_now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC,
			    &now); /* cannot fail: a constant */
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

struct process_cpu process_cpu_read(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage); /* cannot fail: a constant */
	return (struct process_cpu){
		.user_s = seconds_of(&usage.ru_utime),
		.system_s = seconds_of(&usage.ru_stime),
	};
}

void process_streams_open(void)
{
	int fd;
	do { /* the lowest number that is free */
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd); /* held nothing */
}

void process_fd_limit_raise(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* the soft limit still works */
}

#include "diagnose.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *const disabled_path = "/proc/sys/kernel/io_uring_disabled";
static const char *const status_path = "/proc/self/status";

/* The number after @key at the start of a line of @path. An empty key takes the
 * first line. */
static int proc_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return WEIR_HOST_UNKNOWN;

	int number = WEIR_HOST_UNKNOWN;
	size_t key_bytes = strlen(key);
	char line[256];
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, key_bytes) == 0) {
			number = (int)strtol(line + key_bytes, NULL, 10);
			break;
		}
	}
	(void)fclose(file); /* was only read */
	return number;
}

static uint64_t soft_limit(int resource)
{
	static_assert(RLIM_INFINITY == UINT64_MAX, "without a limit: itself");
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };
	(void)getrlimit(resource, &limit); /* cannot fail for this process */
	return limit.rlim_cur;
}

uint64_t weir_fd_limit(void)
{
	return soft_limit(RLIMIT_NOFILE);
}

void weir_host_facts_read(struct weir_host_facts *out_facts)
{
	out_facts->io_uring_disabled = proc_number(disabled_path, "");
	out_facts->seccomp_mode = proc_number(status_path, "Seccomp:");
	out_facts->memlock_bytes = soft_limit(RLIMIT_MEMLOCK);
	out_facts->fd_limit = weir_fd_limit();
}

static int diagnose_eperm(const struct weir_host_facts *facts,
			  struct weir_error *error)
{
	if (facts->io_uring_disabled == 2)
		return weir_error_set(
			error, -EPERM,
			"io_uring is forbidden to everybody on this host: "
			"sysctl kernel.io_uring_disabled is 2; an "
			"administrator must set it to 0, or to 1 with "
			"kernel.io_uring_group");
	if (facts->io_uring_disabled == 1)
		return weir_error_set(
			error, -EPERM,
			"io_uring is forbidden to this user: sysctl "
			"kernel.io_uring_disabled is 1; join the group named "
			"by kernel.io_uring_group, or run with CAP_SYS_ADMIN");
	if (facts->seccomp_mode == 2)
		return weir_error_set(
			error, -EPERM,
			"io_uring is blocked by a seccomp filter (the default "
			"of Docker and containerd): allow io_uring_setup, "
			"io_uring_enter and io_uring_register in the profile");
	return weir_error_set(error, -EPERM,
			      "io_uring_setup is not permitted, and neither "
			      "sysctl kernel.io_uring_disabled nor a seccomp "
			      "filter explains it: look for a security module");
}

static int diagnose_enomem(uint64_t ring_bytes,
			   const struct weir_host_facts *facts,
			   struct weir_error *error)
{
	if (facts->memlock_bytes != UINT64_MAX)
		return weir_error_set(
			error, -ENOMEM,
			"no memory for a ring of %" PRIu64 " KiB: locked "
			"memory is limited to %" PRIu64 " KiB per user and the "
			"kernel counts rings against it since 6.14; raise "
			"`ulimit -l` (LimitMEMLOCK= in a unit) or ask for "
			"smaller rings",
			ring_bytes / 1024, facts->memlock_bytes / 1024);
	return weir_error_set(error, -ENOMEM,
			      "no memory for a ring of %" PRIu64 " KiB and "
			      "locked memory is unlimited: the host or its "
			      "control group is out of memory",
			      ring_bytes / 1024);
}

int weir_diagnose_setup(int err, uint64_t ring_bytes,
			const struct weir_host_facts *facts,
			struct weir_error *error)
{
	switch (err) {
	case -ENOSYS:
		return weir_error_set(error, err,
				      "this kernel has no io_uring: it is "
				      "older than 5.1, built without "
				      "CONFIG_IO_URING, or a sandbox; Linux "
				      "6.1 or newer is needed");
	case -EPERM:
		return diagnose_eperm(facts, error);
	case -EACCES:
		return weir_error_set(error, err,
				      "io_uring is denied by a security module "
				      "(SELinux, AppArmor): see its audit log");
	case -ENOMEM:
		return diagnose_enomem(ring_bytes, facts, error);
	case -EMFILE:
	case -ENFILE:
		return weir_error_set(error, err,
				      "no descriptor left for a ring: the "
				      "limit is %" PRIu64 "; raise `ulimit -n`",
				      facts->fd_limit);
	case -EINVAL:
		return weir_error_set(error, err,
				      "this kernel refuses every way to set up "
				      "a ring (EINVAL): Linux 6.1 or newer is "
				      "needed");
	default:
		return weir_error_set(error, err, "io_uring_setup failed: %s",
				      strerror(-err));
	}
}

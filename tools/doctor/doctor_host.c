/* doctor_host.c - the limits and settings of a host that matter to weir
 *
 * One function per fact: it reads, then checks. A fact that cannot be read is
 * INFO "unknown", never a fault: the ladder has tried the real thing.
 */
#include "doctor.h"

#include <weir/net/steer.h>

#include <assert.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	/* One loop with its defaults: 8192 connections, two backlogs. */
	FDS_WANTED = 16384,
	FDS_LEAST = 64,
	BACKLOG_WANTED = 4096,
	PORTS_WANTED = 20000,
	CAP_SYS_ADMIN_BIT = 21,
	CAP_IPC_LOCK_BIT = 14,
	CAP_BPF_BIT = 39,
	GROUPS_MAX = 256,
	LINE_BYTES = 256,
};

#define MEMLOCK_WANTED ((uint64_t)8 << 20)

/* ---- reading ----------------------------------------------------------- */

/* The first line of @path that starts with @key, without key and newline. */
static bool read_line(const struct doctor *doctor, const char *path,
		      const char *key, char *out_line)
{
	char full[512];
	char line[LINE_BYTES];
	const size_t key_bytes = strlen(key);
	bool is_found = false;

	(void)snprintf(full, sizeof(full), "%s%s", doctor->root, path);
	FILE *file = fopen(full, "re");
	if (file == NULL)
		return false;
	while (!is_found && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, key_bytes) != 0)
			continue;
		const char *rest = line + key_bytes;
		rest += strspn(rest, " \t");
		(void)snprintf(out_line, LINE_BYTES, "%.*s",
			       (int)strcspn(rest, "\n"), rest);
		is_found = true;
	}
	(void)fclose(file); /* was only read */
	return is_found;
}

static bool read_number(const struct doctor *doctor, const char *path,
			const char *key, int base, uint64_t *out_number)
{
	char line[LINE_BYTES];
	char *end;
	if (!read_line(doctor, path, key, line))
		return false;
	*out_number = strtoull(line, &end, base);
	return end != line;
}

static bool has_capability(const struct doctor *doctor, int bit)
{
	uint64_t set = 0;
	return read_number(doctor, "/proc/self/status", "CapEff:", 16, &set) &&
	       (set >> bit & 1) != 0;
}

/* ---- facts ------------------------------------------------------------- */

static struct doctor_fact *fact_add(struct doctor *doctor, const char *name,
				    const char *wanted, const char *why,
				    const char *remedy)
{
	assert(doctor->fact_count < DOCTOR_FACTS_MAX);

	struct doctor_fact *fact = &doctor->facts[doctor->fact_count++];
	*fact = (struct doctor_fact){
		.name = name,
		.wanted = wanted,
		.why = why,
		.remedy = remedy,
		.verdict = DOCTOR_INFO,
		.value = "unknown",
	};
	return fact;
}

__attribute__((format(printf, 3, 4))) static void fact_set(
	struct doctor_fact *fact, enum doctor_verdict verdict,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(fact->value, sizeof(fact->value), format, args);
	va_end(args);
	fact->verdict = verdict;
}

static void fact_kernel(struct doctor *doctor)
{
	struct utsname name;
	char release[LINE_BYTES];
	struct doctor_fact *fact = fact_add(
		doctor, "kernel", "6.1 or newer",
		"older ones lack what weir requires; the ladder decides, not "
		"this number",
		"update the kernel");
	if (read_line(doctor, "/proc/sys/kernel/osrelease", "", release))
		fact_set(fact, DOCTOR_INFO, "%.100s", release);
	else if (uname(&name) == 0)
		fact_set(fact, DOCTOR_INFO, "%s", name.release);
}

static void fact_disabled(struct doctor *doctor)
{
	uint64_t value;
	uint64_t group = 0;
	gid_t groups[GROUPS_MAX];
	struct doctor_fact *fact =
		fact_add(doctor, "kernel.io_uring_disabled", "0",
			 "1 keeps io_uring for CAP_SYS_ADMIN and the group in "
			 "kernel.io_uring_group, 2 forbids it to everybody",
			 "sysctl kernel.io_uring_disabled=0, or 1 and "
			 "kernel.io_uring_group=<gid of the service>");
	if (!read_number(doctor, "/proc/sys/kernel/io_uring_disabled", "", 10,
			 &value)) {
		fact_set(fact, DOCTOR_INFO, "no such sysctl (before 6.6)");
		return;
	}
	if (value != 1) {
		fact_set(fact, value == 0 ? DOCTOR_OK : DOCTOR_BAD, "%" PRIu64,
			 value);
		return;
	}
	bool is_allowed = has_capability(doctor, CAP_SYS_ADMIN_BIT);
	if (read_number(doctor, "/proc/sys/kernel/io_uring_group", "", 10,
			&group)) {
		const int count = getgroups(GROUPS_MAX, groups);
		is_allowed = is_allowed || getegid() == (gid_t)group;
		for (int i = 0; i < count; i++)
			is_allowed = is_allowed || groups[i] == (gid_t)group;
	}
	fact_set(fact, is_allowed ? DOCTOR_OK : DOCTOR_BAD,
		 "1, group %" PRId64 ", %s", (int64_t)group,
		 is_allowed ? "which lets this process"
			    : "which does not let this process");
}

static void fact_seccomp(struct doctor *doctor)
{
	uint64_t mode;
	struct doctor_fact *fact = fact_add(
		doctor, "seccomp", "none, or a filter that allows io_uring",
		"the default filters of Docker and containerd forbid it "
		"(EPERM)",
		"allow io_uring_setup, io_uring_enter and io_uring_register "
		"in the profile");
	if (!read_number(doctor, "/proc/self/status", "Seccomp:", 10, &mode))
		return;
	if (mode == 0)
		fact_set(fact, DOCTOR_OK, "none");
	else
		fact_set(fact,
			 weir_ladder_can_run(doctor->rungs) ? DOCTOR_OK
							    : DOCTOR_LOW,
			 "%s", mode == 2 ? "a filter" : "strict");
}

static void fact_descriptors(struct doctor *doctor)
{
	struct rlimit limit;
	struct doctor_fact *fact = fact_add(
		doctor, "descriptors", "16384 or more, soft",
		"a loop's socket table may not be larger; its default is 8192 "
		"connections and two backlogs",
		"raise `ulimit -n` (LimitNOFILE= in a unit)");
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	enum doctor_verdict verdict = DOCTOR_OK;
	if (limit.rlim_cur < FDS_WANTED)
		verdict = DOCTOR_LOW;
	if (limit.rlim_max < FDS_LEAST)
		verdict = DOCTOR_BAD;
	fact_set(fact, verdict, "%" PRIu64 " soft, %" PRIu64 " hard",
		 (uint64_t)limit.rlim_cur, (uint64_t)limit.rlim_max);
}

static void fact_memlock(struct doctor *doctor)
{
	struct rlimit limit;
	struct doctor_fact *fact = fact_add(
		doctor, "locked memory", "8 MiB or more, or CAP_IPC_LOCK",
		"since 6.14 rings and receive buffers count against it, per "
		"user; a loop takes about 200 KiB",
		"raise `ulimit -l` (LimitMEMLOCK= in a unit)");
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY) {
		fact_set(fact, DOCTOR_OK, "unlimited");
		return;
	}
	const bool is_exempt = has_capability(doctor, CAP_IPC_LOCK_BIT);
	const bool is_enough = limit.rlim_cur >= MEMLOCK_WANTED;
	fact_set(fact, is_exempt || is_enough ? DOCTOR_OK : DOCTOR_LOW,
		 "%" PRIu64 " KiB%s", (uint64_t)limit.rlim_cur / 1024,
		 is_exempt ? ", and CAP_IPC_LOCK: not counted" : "");
}

/* A sysctl that should be at least @least. */
static void fact_at_least(struct doctor *doctor, struct doctor_fact *fact,
			  const char *path, uint64_t least)
{
	uint64_t value;
	if (read_number(doctor, path, "", 10, &value))
		fact_set(fact, value >= least ? DOCTOR_OK : DOCTOR_LOW,
			 "%" PRIu64, value);
}

static void facts_backlog(struct doctor *doctor)
{
	fact_at_least(doctor,
		      fact_add(doctor, "net.core.somaxconn", "4096 or more",
			       "a listener's backlog is cut to it; a burst "
			       "beyond it waits a second to retry",
			       "sysctl net.core.somaxconn=4096"),
		      "/proc/sys/net/core/somaxconn", BACKLOG_WANTED);
	fact_at_least(doctor,
		      fact_add(doctor, "net.ipv4.tcp_max_syn_backlog",
			       "4096 or more",
			       "half-open connections beyond it are answered "
			       "by cookies, or dropped",
			       "sysctl net.ipv4.tcp_max_syn_backlog=4096"),
		      "/proc/sys/net/ipv4/tcp_max_syn_backlog", BACKLOG_WANTED);
}

static void facts_ports(struct doctor *doctor)
{
	char line[LINE_BYTES];
	uint64_t start;
	struct doctor_fact *fact = fact_add(
		doctor, "net.ipv4.ip_local_port_range", "20000 ports or more",
		"one client address can hold that many connections to one "
		"server port",
		"sysctl net.ipv4.ip_local_port_range=\"1024 65535\"");
	if (read_line(doctor, "/proc/sys/net/ipv4/ip_local_port_range", "",
		      line)) {
		char *end;
		const long low = strtol(line, &end, 10);
		const long high = strtol(end, NULL, 10);
		fact_set(fact,
			 high - low + 1 >= PORTS_WANTED ? DOCTOR_OK
							: DOCTOR_LOW,
			 "%ld to %ld, %ld ports", low, high, high - low + 1);
	}
	fact = fact_add(doctor, "unprivileged port start",
			"at most the port to serve",
			"lower ports need CAP_NET_BIND_SERVICE",
			"sysctl net.ipv4.ip_unprivileged_port_start=<port>");
	if (read_number(doctor, "/proc/sys/net/ipv4/ip_unprivileged_port_start",
			"", 10, &start))
		fact_set(fact, DOCTOR_INFO, "%" PRIu64, start);
}

/* Never a fault: the rung steer-ebpf shows whether it works. */
static void fact_bpf(struct doctor *doctor)
{
	uint64_t value;
	struct doctor_fact *fact =
		fact_add(doctor, "kernel.unprivileged_bpf_disabled", "1 or 2",
			 "weir's steering program needs CAP_BPF with each of "
			 "its values; 0 lets everybody load others",
			 "sysctl kernel.unprivileged_bpf_disabled=2");
	const bool is_able = has_capability(doctor, CAP_BPF_BIT) ||
			     has_capability(doctor, CAP_SYS_ADMIN_BIT);
	if (read_number(doctor, "/proc/sys/kernel/unprivileged_bpf_disabled",
			"", 10, &value))
		fact_set(fact, DOCTOR_INFO, "%" PRIu64 ", this process has %s",
			 value, is_able ? "CAP_BPF" : "no CAP_BPF");
}

static void fact_migration(struct doctor *doctor)
{
	uint64_t value;
	struct doctor_fact *fact = fact_add(
		doctor, "net.ipv4.tcp_migrate_req", "1, or the rung steer-ebpf",
		"connections that wait in a listener move to another when it "
		"goes, or are reset; a steering program moves them in any case",
		"sysctl net.ipv4.tcp_migrate_req=1");
	if (!read_number(doctor, "/proc/sys/net/ipv4/tcp_migrate_req", "", 10,
			 &value)) {
		fact_set(fact, DOCTOR_INFO, "no such sysctl (before 5.14)");
		return;
	}
	const bool is_moved =
		value != 0 ||
		doctor->rungs[WEIR_RUNG_STEER_EBPF].state == WEIR_RUNG_ON;
	fact_set(fact, is_moved ? DOCTOR_OK : DOCTOR_LOW, "%" PRIu64, value);
}

/* Only the build knows what was missing. */
#ifndef WEIR_NO_BPF
#define WEIR_NO_BPF ""
#endif

static void fact_steering(struct doctor *doctor)
{
	struct doctor_fact *fact = fact_add(
		doctor, "steering program", "built in",
		"without it connections go by the kernel's hash, or by CPU",
		"build weir where libbpf, clang and bpftool are installed");
	if (weir_steer_is_built())
		fact_set(fact, DOCTOR_OK, "built in");
	else
		fact_set(fact, DOCTOR_LOW, "not built: %s", WEIR_NO_BPF);
}

static void fact_congestion(struct doctor *doctor)
{
	char line[LINE_BYTES];
	struct doctor_fact *fact = fact_add(
		doctor, "congestion control", "the same in every comparison",
		"it paces what TCP sends, and costs CPU time of its own",
		"sysctl net.ipv4.tcp_congestion_control=<name>");
	if (read_line(doctor, "/proc/sys/net/ipv4/tcp_congestion_control", "",
		      line))
		fact_set(fact, DOCTOR_INFO, "%.100s", line);
}

static void fact_cpus(struct doctor *doctor)
{
	cpu_set_t set;
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct doctor_fact *fact =
		fact_add(doctor, "CPUs", "all that are online",
			 "a server has one loop per CPU that it may use",
			 "see taskset(1), and the cpuset of the control group");
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	const int usable = CPU_COUNT(&set);
	fact_set(fact, usable >= online ? DOCTOR_OK : DOCTOR_LOW,
		 "%d usable of %ld online", usable, online);
}

static void fact_mitigations(struct doctor *doctor)
{
	static const char *const names[] = {
		"meltdown", "spectre_v2", "retbleed",
		"mds",      "srso",       "mmio_stale_data",
	};
	char on[DOCTOR_VALUE_BYTES] = "";
	size_t used = 0;
	bool is_known = false;
	struct doctor_fact *fact = fact_add(
		doctor, "CPU mitigations", "as your policy says",
		"they make each kernel entry dearer, which is why weir makes "
		"few; compare figures only where they are the same",
		"leave them on");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];
		char line[LINE_BYTES];
		(void)snprintf(path, sizeof(path),
			       "/sys/devices/system/cpu/vulnerabilities/%s",
			       names[i]);
		if (!read_line(doctor, path, "", line))
			continue;
		is_known = true;
		if (strncmp(line, "Mitigation", strlen("Mitigation")) == 0)
			used += (size_t)snprintf(on + used, sizeof(on) - used,
						 "%s%s", used > 0 ? ", " : "",
						 names[i]);
	}
	if (is_known)
		fact_set(fact, DOCTOR_INFO, "%s%s", used > 0 ? "for " : "none",
			 on);
}

void doctor_read_host(struct doctor *doctor)
{
	doctor->fact_count = 0;
	fact_kernel(doctor);
	fact_disabled(doctor);
	fact_seccomp(doctor);
	fact_descriptors(doctor);
	fact_memlock(doctor);
	facts_backlog(doctor);
	facts_ports(doctor);
	fact_steering(doctor);
	fact_bpf(doctor);
	fact_migration(doctor);
	fact_congestion(doctor);
	fact_cpus(doctor);
	fact_mitigations(doctor);
}

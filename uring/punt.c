#include "punt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char worker_prefix[] = "iou-wrk-";

/* The thread that the worker at @task_name serves; 0: it is not a worker. */
static pid_t worker_owner(const char *task_name)
{
	char path[64];
	char name[32] = "";
	const size_t prefix_bytes = sizeof(worker_prefix) - 1;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm",
		       task_name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return 0; /* it has just ended */
	if (fgets(name, sizeof(name), file) == NULL)
		name[0] = '\0';
	(void)fclose(file); /* was only read */
	if (strncmp(name, worker_prefix, prefix_bytes) != 0)
		return 0;
	return (pid_t)strtol(name + prefix_bytes, NULL, 10);
}

int weir_punt_workers(pid_t tid)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	if (tasks == NULL)
		return -errno;
	for (;;) {
		const struct dirent *task = readdir(tasks);
		if (task == NULL)
			break;
		if (task->d_name[0] == '.')
			continue;
		const pid_t owner = worker_owner(task->d_name);
		if (owner != 0 && (tid == 0 || owner == tid))
			count++;
	}
	(void)closedir(tasks); /* was only read */
	return count;
}

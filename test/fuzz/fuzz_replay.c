/* fuzz_replay.c - run the corpus of a fuzz target as an ordinary test */
#include "fuzz_replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int replay_read_all(int fd, uint8_t *out_bytes, size_t byte_count)
{
	for (size_t done_bytes = 0; done_bytes < byte_count;) {
		ssize_t got = read(fd, out_bytes + done_bytes,
				   byte_count - done_bytes);
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO; /* shorter than fstat() said */
		done_bytes += (size_t)got;
	}
	return 0;
}

/* 1 if the file was run, 0 if it is not a regular file, negative errno. */
static int replay_file(int folder_fd, const char *name,
		       int (*one)(const uint8_t *data, size_t size))
{
	uint8_t *bytes = NULL;
	struct stat info = { .st_mode = 0 }; /* fstat: no interceptor in MSan */

	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	int rc = fstat(fd, &info) < 0 ? -errno : 0;
	if (rc < 0 || !S_ISREG(info.st_mode))
		goto out;

	/* malloc(0) may be NULL, which targets accept with size 0. */
	size_t byte_count = (size_t)info.st_size;
	bytes = malloc(byte_count);
	if (bytes == NULL && byte_count > 0) {
		rc = -ENOMEM;
		goto out;
	}
	rc = replay_read_all(fd, bytes, byte_count);
	if (rc < 0)
		goto out;
	(void)one(bytes, byte_count); /* 0, or it has aborted */
	rc = 1;
out:
	free(bytes);
	(void)close(fd); /* only read from */
	return rc;
}

int wi_fuzz_replay(const char *folder,
		   int (*one)(const uint8_t *data, size_t size))
{
	DIR *dir = opendir(folder);
	if (dir == NULL)
		return -errno;

	int file_count = 0;
	for (;;) {
		errno = 0; /* only errno separates the end of readdir() from an
			    * error */
		const struct dirent *entry = readdir(dir);
		if (entry == NULL)
			break;
		if (entry->d_name[0] == '.')
			continue;
		int rc = replay_file(dirfd(dir), entry->d_name, one);
		if (rc < 0) {
			(void)closedir(dir); /* the first error is the one */
			return rc;
		}
		file_count += rc;
	}
	int err = -errno;
	(void)closedir(dir); /* only read from */
	return err < 0 ? err : file_count;
}

#include "skips.h"

#include "uring/rung.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SKIPS_MAX = 4096, /* in one suite */
	TEST_NAME_BYTES = 120,
};

struct skips {
	uint32_t count; /* may exceed SKIPS_MAX; the rest is not stored */
	uint32_t host_count;
	struct {
		char test[TEST_NAME_BYTES];
	} rows[SKIPS_MAX];
};

static struct skips *skips; /* NULL: not counted */

void wi_skips_open(void)
{
	void *memory = mmap(NULL, sizeof(*skips), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("uring_test: memory for the skipped tests");
		exit(EXIT_FAILURE);
	}
	skips = memory;
}

void wi_skips_clear(void)
{
	skips->count = 0;
	skips->host_count = 0;
}

void wi_skip_note(const char *test, const char *reason, enum wi_skip_kind kind)
{
	const char *suffix = strstr(test, "_fn"); /* Check's suffix of a test
						   * function */
	const int chars =
		suffix != NULL ? (int)(suffix - test) : TEST_NAME_BYTES - 1;
	const char *forced = getenv(WEIR_FORCE_OFF);

	(void)printf("skipped: %.*s: %s\n", chars, test, reason);
	(void)fflush(stdout); /* the test's process may not end by exit() */
	if (skips == NULL)
		return;
	/* A missing rung skips many tests, each with its own message. */
	if (kind == WI_SKIP_HOST && (forced == NULL || forced[0] == '\0'))
		(void)__atomic_add_fetch(&skips->host_count, 1,
					 __ATOMIC_RELAXED);
	const uint32_t index =
		__atomic_fetch_add(&skips->count, 1, __ATOMIC_RELAXED);
	if (index < SKIPS_MAX)
		(void)snprintf(skips->rows[index].test, TEST_NAME_BYTES, "%.*s",
			       chars, test);
}

uint32_t wi_skips_of(const char *test)
{
	uint32_t found = 0;
	if (test == NULL)
		return skips->count;
	for (uint32_t i = 0; i < skips->count && i < SKIPS_MAX; i++)
		found += strcmp(skips->rows[i].test, test) == 0;
	return found;
}

bool wi_skips_were_asked(void)
{
	return skips->count > 0 && skips->host_count == 0;
}

/* crowd.c - see crowd.h
 *
 * Clients use blocking sockets: a client with an answer was accepted and
 * counted. They run on threads of their own, so they record results, and the
 * test's thread asserts.
 */
#include "crowd.h"

#include "../rig/support.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_LIMIT_S = 120 /* far longer than anything takes */ };

static uint32_t least(uint64_t left, uint64_t right)
{
	return (uint32_t)(left < right ? left : right);
}

/* ---- one connection ---------------------------------------------------- */

/* A port is chosen when the target is known (IP_BIND_ADDRESS_NO_PORT): each
 * source has all ports for each target. */
static int client_bind(int fd, const struct weir_addr *source)
{
	const int on = 1;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
		       sizeof(on)) < 0)
		return -errno;
	if (source->storage.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&source->storage, source->bytes) <
	    0)
		return -errno;
	return 0;
}

static int client_setup(int fd, const struct crowd_opts *opts, uint32_t index)
{
	const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	struct weir_addr source;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (opts->source == NULL)
		return 0;
	opts->source(index, &source);
	return client_bind(fd, &source);
}

int crowd_open_one(const struct crowd_opts *opts, uint32_t index)
{
	const struct weir_addr *target =
		&opts->targets[index % opts->target_count];
	int fd = socket(target->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC,
			0);
	if (fd < 0)
		return -errno;
	int err = client_setup(fd, opts, index);
	if (err == 0 && connect(fd, (const struct sockaddr *)&target->storage,
				target->bytes) < 0)
		err = -errno;
	if (err == 0)
		return fd;
	(void)close(fd);
	return err;
}

static int client_ask(int fd)
{
	const uint8_t request = 1;
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* A stop of the process interrupts a wait that has a timeout (signal(7)). */
int crowd_hear_one(int fd)
{
	uint8_t answer;
	ssize_t count;
	do {
		count = recv(fd, &answer, sizeof(answer), 0);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	return count == 0 ? -ENODATA : answer;
}

/* ---- clients ----------------------------------------------------------- */

/* The results of one batch, added together. */
struct crowd_batch {
	struct crowd_counts counts;
	int first_failure;
	int32_t held[CROWD_LOOPS_MAX];
	uint32_t answers[CROWD_LOOPS_MAX];
};

static uint32_t client_index(const struct crowd_client *client, uint32_t order)
{
	return order * client->crowd->opts.thread_count + client->index;
}

static void batch_note(struct crowd_batch *batch, int err)
{
	switch (err) {
	case -ECONNREFUSED:
		batch->counts.refused++;
		break;
	case -ECONNRESET:
	case -EPIPE:
		batch->counts.reset++;
		break;
	default:
		batch->counts.failed++;
		if (batch->first_failure == 0)
			batch->first_failure = -err;
		break;
	}
}

static void client_close(struct crowd_client *client, uint32_t order)
{
	(void)close(client->fds[order]);
	client->fds[order] = -1;
}

static void client_let_go(struct crowd_client *client, uint32_t order,
			  struct crowd_batch *batch)
{
	const uint8_t *loop_of = client->crowd->loop_of;
	const uint32_t loop = loop_of[client_index(client, order)];
	client_close(client, order);
	if (loop < CROWD_LOOPS_MAX)
		batch->held[loop]--;
}

static void client_hold(struct crowd_client *client, uint32_t order,
			struct crowd_batch *batch)
{
	const struct crowd_opts *opts = &client->crowd->opts;
	const uint32_t index = client_index(client, order);
	const uint32_t loop = client->crowd->loop_of[index];
	const uint32_t life = opts->life == NULL ? 0 : opts->life(index);

	if (loop < CROWD_LOOPS_MAX) {
		batch->held[loop]++;
		batch->answers[loop]++;
	}
	if (life == 0) {
		client_let_go(client, order, batch);
		return;
	}
	if (life >= client->count - order)
		return; /* no later connection ends it */
	client->next[order] = client->due[order + life];
	client->due[order + life] = order;
}

static void client_finish(struct crowd_client *client, uint32_t order,
			  struct crowd_batch *batch)
{
	struct crowd *crowd = client->crowd;
	if (client->fds[order] < 0)
		return;
	const int heard = crowd_hear_one(client->fds[order]);
	if (heard < 0) {
		batch_note(batch, heard);
		client_close(client, order);
		return;
	}
	batch->counts.served++;
	crowd->loop_of[client_index(client, order)] = (uint8_t)heard;
	client_hold(client, order, batch);
}

static void client_begin(struct crowd_client *client, uint32_t order,
			 struct crowd_batch *batch)
{
	client->fds[order] = crowd_open_one(&client->crowd->opts,
					    client_index(client, order));
	if (client->fds[order] >= 0)
		batch->counts.opened++;
	else
		batch_note(batch, client->fds[order]);
}

static void client_request(struct crowd_client *client, uint32_t order,
			   struct crowd_batch *batch)
{
	if (client->fds[order] < 0)
		return;
	int err = client_ask(client->fds[order]);
	if (err == 0)
		return;
	batch_note(batch, err);
	client_close(client, order);
}

static void client_close_due(struct crowd_client *client, uint32_t order,
			     struct crowd_batch *batch)
{
	uint32_t next;
	for (uint32_t at = client->due[order]; at != CROWD_FOR_EVER;
	     at = next) {
		next = client->next[at];
		client_let_go(client, at, batch);
	}
}

static void client_batch(struct crowd_client *client, uint32_t first,
			 uint32_t count, struct crowd_batch *batch)
{
	for (uint32_t i = 0; i < count; i++)
		client_close_due(client, first + i, batch);
	for (uint32_t i = 0; i < count; i++)
		client_begin(client, first + i, batch);
	for (uint32_t i = 0; i < count; i++)
		client_request(client, first + i, batch);
	for (uint32_t i = 0; i < count; i++)
		client_finish(client, first + i, batch);
}

static void crowd_sample(struct crowd *crowd)
{
	if (crowd->sample_count == CROWD_SAMPLES_MAX)
		return;
	struct crowd_sample *sample = &crowd->samples[crowd->sample_count++];
	sample->tried = crowd->tried;
	memcpy(sample->held, crowd->held, sizeof(sample->held));
}

/* Returns false once the threads are to stop. */
static bool crowd_add(struct crowd *crowd, uint32_t thread, uint32_t count,
		      const struct crowd_batch *batch)
{
	const uint32_t every = crowd->opts.sample_every;
	(void)pthread_mutex_lock(&crowd->lock);
	const uint64_t before = crowd->tried;
	crowd->tried += count;
	crowd->counts.opened += batch->counts.opened;
	crowd->counts.served += batch->counts.served;
	crowd->counts.refused += batch->counts.refused;
	crowd->counts.reset += batch->counts.reset;
	crowd->counts.failed += batch->counts.failed;
	crowd->batches[thread]++;
	if (crowd->first_failure == 0)
		crowd->first_failure = batch->first_failure;
	for (uint32_t i = 0; i < CROWD_LOOPS_MAX; i++) {
		crowd->held[i] += (uint32_t)batch->held[i];
		crowd->answers[i] += batch->answers[i];
	}
	if (every != 0 && before / every != crowd->tried / every)
		crowd_sample(crowd);
	const bool goes_on = !crowd->is_told_to_stop;
	(void)pthread_cond_broadcast(&crowd->moved);
	(void)pthread_mutex_unlock(&crowd->lock);
	return goes_on;
}

static void client_pin(const struct crowd_client *client)
{
	cpu_set_t one;
	if (client->crowd->opts.cpus == NULL)
		return;
	CPU_ZERO(&one);
	CPU_SET(client->crowd->opts.cpus[client->index], &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void *client_main(void *arg)
{
	struct crowd_client *client = arg;
	struct crowd *crowd = client->crowd;
	bool goes_on = true;

	client_pin(client);
	for (uint32_t order = 0; order < client->count && goes_on;) {
		struct crowd_batch batch = { .first_failure = 0 };
		const uint32_t count =
			least(crowd->opts.batch, client->count - order);
		client_batch(client, order, count, &batch);
		goes_on = crowd_add(crowd, client->index, count, &batch);
		order += count;
	}
	(void)pthread_mutex_lock(&crowd->lock);
	crowd->threads_ended++;
	crowd->is_ended[client->index] = true;
	(void)pthread_cond_broadcast(&crowd->moved);
	(void)pthread_mutex_unlock(&crowd->lock);
	return NULL;
}

static void client_init(struct crowd *crowd, uint32_t index)
{
	struct crowd_client *client = &crowd->clients[index];
	const uint32_t threads = crowd->opts.thread_count;
	const uint32_t count =
		(crowd->opts.count + threads - 1 - index) / threads;

	*client = (struct crowd_client){ .crowd = crowd,
					 .index = index,
					 .count = count };
	client->fds = calloc(count + 1, sizeof(*client->fds));
	client->due = calloc(count + 1, sizeof(*client->due));
	client->next = calloc(count + 1, sizeof(*client->next));
	ck_assert_ptr_nonnull(client->fds);
	ck_assert_ptr_nonnull(client->due);
	ck_assert_ptr_nonnull(client->next);
	for (uint32_t i = 0; i < count; i++) {
		client->fds[i] = -1;
		client->due[i] = CROWD_FOR_EVER; /* the end of a list */
	}
}

void crowd_start(struct crowd *crowd, const struct crowd_opts *opts)
{
	*crowd = (struct crowd){ .opts = *opts };
	if (crowd->opts.thread_count == 0)
		crowd->opts.thread_count = 1;
	if (crowd->opts.batch == 0)
		crowd->opts.batch = 1;
	ck_assert_uint_le(crowd->opts.thread_count, CROWD_THREADS_MAX);
	ck_assert_uint_le(crowd->opts.batch, CROWD_BATCH_MAX);
	(void)pthread_mutex_init(&crowd->lock, NULL);
	(void)pthread_cond_init(&crowd->moved, NULL);
	crowd->loop_of = malloc(opts->count + 1);
	ck_assert_ptr_nonnull(crowd->loop_of);
	memset(crowd->loop_of, CROWD_NO_LOOP, opts->count);
	for (uint32_t i = 0; i < crowd->opts.thread_count; i++)
		client_init(crowd, i);
	for (uint32_t i = 0; i < crowd->opts.thread_count; i++) {
		struct crowd_client *client = &crowd->clients[i];
		ck_assert_int_eq(pthread_create(&client->thread, NULL,
						client_main, client),
				 0);
	}
}

void crowd_wait_tried(struct crowd *crowd, uint64_t count)
{
	(void)pthread_mutex_lock(&crowd->lock);
	while (crowd->tried < count &&
	       crowd->threads_ended < crowd->opts.thread_count)
		(void)pthread_cond_wait(&crowd->moved, &crowd->lock);
	(void)pthread_mutex_unlock(&crowd->lock);
}

void crowd_settle(struct crowd *crowd)
{
	uint64_t before[CROWD_THREADS_MAX];
	(void)pthread_mutex_lock(&crowd->lock);
	memcpy(before, crowd->batches, sizeof(before));
	for (uint32_t i = 0; i < crowd->opts.thread_count; i++)
		while (crowd->batches[i] == before[i] && !crowd->is_ended[i])
			(void)pthread_cond_wait(&crowd->moved, &crowd->lock);
	(void)pthread_mutex_unlock(&crowd->lock);
}

uint64_t crowd_tried(struct crowd *crowd)
{
	(void)pthread_mutex_lock(&crowd->lock);
	uint64_t tried = crowd->tried;
	(void)pthread_mutex_unlock(&crowd->lock);
	return tried;
}

void crowd_answers(struct crowd *crowd, uint64_t out_counts[CROWD_LOOPS_MAX])
{
	(void)pthread_mutex_lock(&crowd->lock);
	memcpy(out_counts, crowd->answers, sizeof(crowd->answers));
	(void)pthread_mutex_unlock(&crowd->lock);
}

void crowd_stop(struct crowd *crowd)
{
	(void)pthread_mutex_lock(&crowd->lock);
	crowd->is_told_to_stop = true;
	(void)pthread_mutex_unlock(&crowd->lock);
}

void crowd_join(struct crowd *crowd)
{
	if (crowd->is_joined)
		return;
	for (uint32_t i = 0; i < crowd->opts.thread_count; i++)
		ck_assert_int_eq(pthread_join(crowd->clients[i].thread, NULL),
				 0);
	crowd->is_joined = true;
}

void crowd_end(struct crowd *crowd)
{
	crowd_join(crowd);
	for (uint32_t i = 0; i < crowd->opts.thread_count; i++) {
		struct crowd_client *client = &crowd->clients[i];
		for (uint32_t order = 0; order < client->count; order++)
			if (client->fds[order] >= 0)
				client_close(client, order);
		free(client->fds);
		free(client->due);
		free(client->next);
	}
	free(crowd->loop_of);
	(void)pthread_cond_destroy(&crowd->moved);
	(void)pthread_mutex_destroy(&crowd->lock);
}

void crowd_run(struct crowd *crowd, const struct crowd_opts *opts)
{
	crowd_start(crowd, opts);
	crowd_join(crowd);
}

void crowd_expect_served_but_for_races(const struct crowd *crowd,
				       uint32_t shut_count)
{
	const struct crowd_counts *counts = &crowd->counts;
	uint64_t racing = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	/* Over loopback the CPU that sends an ACK also handles it. */
	if (racing > crowd->opts.thread_count)
		racing = crowd->opts.thread_count;
	const uint64_t reset_max = racing * shut_count;
	ck_assert_msg(counts->reset <= reset_max &&
			      counts->served + counts->reset == crowd->tried,
		      "of %llu connections %llu were served, %llu reset, where "
		      "%llu may be",
		      (unsigned long long)crowd->tried,
		      (unsigned long long)counts->served,
		      (unsigned long long)counts->reset,
		      (unsigned long long)reset_max);
}

void crowd_expect_all_served(const struct crowd *crowd)
{
	const struct crowd_counts *counts = &crowd->counts;
	ck_assert_msg(counts->served == crowd->tried,
		      "of %llu connections %llu were served, %llu refused, "
		      "%llu reset, %llu failed: %s",
		      (unsigned long long)crowd->tried,
		      (unsigned long long)counts->served,
		      (unsigned long long)counts->refused,
		      (unsigned long long)counts->reset,
		      (unsigned long long)counts->failed,
		      strerror(crowd->first_failure));
}

uint32_t crowd_cpus(int out_cpus[2])
{
	cpu_set_t set;
	uint32_t found = 0;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			out_cpus[found++] = cpu;
	return (uint32_t)CPU_COUNT(&set);
}

void crowd_pin(struct crowd_opts *opts, int cpus[2])
{
	opts->thread_count = crowd_cpus(cpus) >= 2 ? 2 : 1;
	opts->cpus = cpus;
}

uint64_t crowd_served_by(const struct crowd *crowd, uint32_t loop,
			 uint32_t first)
{
	uint64_t count = 0;
	for (uint32_t i = first; i < crowd->opts.count; i++)
		count += crowd->loop_of[i] == loop;
	return count;
}

double crowd_imbalance(const uint64_t *counts, uint32_t count)
{
	uint64_t most = 0;
	uint64_t sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		sum += counts[i];
		if (counts[i] > most)
			most = counts[i];
	}
	return sum == 0 ? 0 : (double)most * count / (double)sum;
}

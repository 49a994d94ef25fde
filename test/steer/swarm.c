/* swarm.c - see swarm.h
 *
 * Clients use blocking sockets: a client with an answer was accepted and
 * counted. They run on threads of their own, so they record results, and the
 * test's thread asserts.
 */
#include "swarm.h"

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

static int client_setup(int fd, const struct swarm_opts *opts, uint32_t index)
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

int swarm_open_one(const struct swarm_opts *opts, uint32_t index)
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
int swarm_hear_one(int fd)
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
struct swarm_batch {
	struct swarm_counts counts;
	int first_failure;
	int32_t held[SWARM_LOOPS_MAX];
	uint32_t answers[SWARM_LOOPS_MAX];
};

static uint32_t client_index(const struct swarm_client *client, uint32_t order)
{
	return order * client->swarm->opts.thread_count + client->index;
}

static void batch_note(struct swarm_batch *batch, int err)
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

static void client_close(struct swarm_client *client, uint32_t order)
{
	(void)close(client->fds[order]);
	client->fds[order] = -1;
}

static void client_let_go(struct swarm_client *client, uint32_t order,
			  struct swarm_batch *batch)
{
	const uint8_t *loop_of = client->swarm->loop_of;
	const uint32_t loop = loop_of[client_index(client, order)];
	client_close(client, order);
	if (loop < SWARM_LOOPS_MAX)
		batch->held[loop]--;
}

static void client_hold(struct swarm_client *client, uint32_t order,
			struct swarm_batch *batch)
{
	const struct swarm_opts *opts = &client->swarm->opts;
	const uint32_t index = client_index(client, order);
	const uint32_t loop = client->swarm->loop_of[index];
	const uint32_t life = opts->life == NULL ? 0 : opts->life(index);

	if (loop < SWARM_LOOPS_MAX) {
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

static void client_finish(struct swarm_client *client, uint32_t order,
			  struct swarm_batch *batch)
{
	struct swarm *swarm = client->swarm;
	if (client->fds[order] < 0)
		return;
	const int heard = swarm_hear_one(client->fds[order]);
	if (heard < 0) {
		batch_note(batch, heard);
		client_close(client, order);
		return;
	}
	batch->counts.served++;
	swarm->loop_of[client_index(client, order)] = (uint8_t)heard;
	client_hold(client, order, batch);
}

static void client_begin(struct swarm_client *client, uint32_t order,
			 struct swarm_batch *batch)
{
	client->fds[order] = swarm_open_one(&client->swarm->opts,
					    client_index(client, order));
	if (client->fds[order] >= 0)
		batch->counts.opened++;
	else
		batch_note(batch, client->fds[order]);
}

static void client_request(struct swarm_client *client, uint32_t order,
			   struct swarm_batch *batch)
{
	if (client->fds[order] < 0)
		return;
	int err = client_ask(client->fds[order]);
	if (err == 0)
		return;
	batch_note(batch, err);
	client_close(client, order);
}

static void client_close_due(struct swarm_client *client, uint32_t order,
			     struct swarm_batch *batch)
{
	uint32_t next;
	for (uint32_t at = client->due[order]; at != SWARM_FOR_EVER;
	     at = next) {
		next = client->next[at];
		client_let_go(client, at, batch);
	}
}

static void client_batch(struct swarm_client *client, uint32_t first,
			 uint32_t count, struct swarm_batch *batch)
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

static void swarm_sample(struct swarm *swarm)
{
	if (swarm->sample_count == SWARM_SAMPLES_MAX)
		return;
	struct swarm_sample *sample = &swarm->samples[swarm->sample_count++];
	sample->tried = swarm->tried;
	memcpy(sample->held, swarm->held, sizeof(sample->held));
}

/* Returns false once the threads are to stop. */
static bool swarm_add(struct swarm *swarm, uint32_t thread, uint32_t count,
		      const struct swarm_batch *batch)
{
	const uint32_t every = swarm->opts.sample_every;
	(void)pthread_mutex_lock(&swarm->lock);
	const uint64_t before = swarm->tried;
	swarm->tried += count;
	swarm->counts.opened += batch->counts.opened;
	swarm->counts.served += batch->counts.served;
	swarm->counts.refused += batch->counts.refused;
	swarm->counts.reset += batch->counts.reset;
	swarm->counts.failed += batch->counts.failed;
	swarm->batches[thread]++;
	if (swarm->first_failure == 0)
		swarm->first_failure = batch->first_failure;
	for (uint32_t i = 0; i < SWARM_LOOPS_MAX; i++) {
		swarm->held[i] += (uint32_t)batch->held[i];
		swarm->answers[i] += batch->answers[i];
	}
	if (every != 0 && before / every != swarm->tried / every)
		swarm_sample(swarm);
	const bool goes_on = !swarm->is_told_to_stop;
	(void)pthread_cond_broadcast(&swarm->moved);
	(void)pthread_mutex_unlock(&swarm->lock);
	return goes_on;
}

static void client_pin(const struct swarm_client *client)
{
	cpu_set_t one;
	if (client->swarm->opts.cpus == NULL)
		return;
	CPU_ZERO(&one);
	CPU_SET(client->swarm->opts.cpus[client->index], &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void *client_main(void *arg)
{
	struct swarm_client *client = arg;
	struct swarm *swarm = client->swarm;
	bool goes_on = true;

	client_pin(client);
	for (uint32_t order = 0; order < client->count && goes_on;) {
		struct swarm_batch batch = { .first_failure = 0 };
		const uint32_t count =
			least(swarm->opts.batch, client->count - order);
		client_batch(client, order, count, &batch);
		goes_on = swarm_add(swarm, client->index, count, &batch);
		order += count;
	}
	(void)pthread_mutex_lock(&swarm->lock);
	swarm->threads_ended++;
	swarm->is_ended[client->index] = true;
	(void)pthread_cond_broadcast(&swarm->moved);
	(void)pthread_mutex_unlock(&swarm->lock);
	return NULL;
}

static void client_init(struct swarm *swarm, uint32_t index)
{
	struct swarm_client *client = &swarm->clients[index];
	const uint32_t threads = swarm->opts.thread_count;
	const uint32_t count =
		(swarm->opts.count + threads - 1 - index) / threads;

	*client = (struct swarm_client){ .swarm = swarm,
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
		client->due[i] = SWARM_FOR_EVER; /* the end of a list */
	}
}

void swarm_start(struct swarm *swarm, const struct swarm_opts *opts)
{
	*swarm = (struct swarm){ .opts = *opts };
	if (swarm->opts.thread_count == 0)
		swarm->opts.thread_count = 1;
	if (swarm->opts.batch == 0)
		swarm->opts.batch = 1;
	ck_assert_uint_le(swarm->opts.thread_count, SWARM_THREADS_MAX);
	ck_assert_uint_le(swarm->opts.batch, SWARM_BATCH_MAX);
	(void)pthread_mutex_init(&swarm->lock, NULL);
	(void)pthread_cond_init(&swarm->moved, NULL);
	swarm->loop_of = malloc(opts->count + 1);
	ck_assert_ptr_nonnull(swarm->loop_of);
	memset(swarm->loop_of, SWARM_NO_LOOP, opts->count);
	for (uint32_t i = 0; i < swarm->opts.thread_count; i++)
		client_init(swarm, i);
	for (uint32_t i = 0; i < swarm->opts.thread_count; i++) {
		struct swarm_client *client = &swarm->clients[i];
		ck_assert_int_eq(pthread_create(&client->thread, NULL,
						client_main, client),
				 0);
	}
}

void swarm_wait_tried(struct swarm *swarm, uint64_t count)
{
	(void)pthread_mutex_lock(&swarm->lock);
	while (swarm->tried < count &&
	       swarm->threads_ended < swarm->opts.thread_count)
		(void)pthread_cond_wait(&swarm->moved, &swarm->lock);
	(void)pthread_mutex_unlock(&swarm->lock);
}

void swarm_settle(struct swarm *swarm)
{
	uint64_t before[SWARM_THREADS_MAX];
	(void)pthread_mutex_lock(&swarm->lock);
	memcpy(before, swarm->batches, sizeof(before));
	for (uint32_t i = 0; i < swarm->opts.thread_count; i++)
		while (swarm->batches[i] == before[i] && !swarm->is_ended[i])
			(void)pthread_cond_wait(&swarm->moved, &swarm->lock);
	(void)pthread_mutex_unlock(&swarm->lock);
}

uint64_t swarm_tried(struct swarm *swarm)
{
	(void)pthread_mutex_lock(&swarm->lock);
	uint64_t tried = swarm->tried;
	(void)pthread_mutex_unlock(&swarm->lock);
	return tried;
}

void swarm_answers(struct swarm *swarm, uint64_t out_counts[SWARM_LOOPS_MAX])
{
	(void)pthread_mutex_lock(&swarm->lock);
	memcpy(out_counts, swarm->answers, sizeof(swarm->answers));
	(void)pthread_mutex_unlock(&swarm->lock);
}

void swarm_stop(struct swarm *swarm)
{
	(void)pthread_mutex_lock(&swarm->lock);
	swarm->is_told_to_stop = true;
	(void)pthread_mutex_unlock(&swarm->lock);
}

void swarm_join(struct swarm *swarm)
{
	if (swarm->is_joined)
		return;
	for (uint32_t i = 0; i < swarm->opts.thread_count; i++)
		ck_assert_int_eq(pthread_join(swarm->clients[i].thread, NULL),
				 0);
	swarm->is_joined = true;
}

void swarm_end(struct swarm *swarm)
{
	swarm_join(swarm);
	for (uint32_t i = 0; i < swarm->opts.thread_count; i++) {
		struct swarm_client *client = &swarm->clients[i];
		for (uint32_t order = 0; order < client->count; order++)
			if (client->fds[order] >= 0)
				client_close(client, order);
		free(client->fds);
		free(client->due);
		free(client->next);
	}
	free(swarm->loop_of);
	(void)pthread_cond_destroy(&swarm->moved);
	(void)pthread_mutex_destroy(&swarm->lock);
}

void swarm_run(struct swarm *swarm, const struct swarm_opts *opts)
{
	swarm_start(swarm, opts);
	swarm_join(swarm);
}

void swarm_expect_served_but_for_races(const struct swarm *swarm,
				       uint32_t shut_count)
{
	const struct swarm_counts *counts = &swarm->counts;
	uint64_t racing = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	/* Over loopback the CPU that sends an ACK also handles it. */
	if (racing > swarm->opts.thread_count)
		racing = swarm->opts.thread_count;
	const uint64_t reset_max = racing * shut_count;
	ck_assert_msg(counts->reset <= reset_max &&
			      counts->served + counts->reset == swarm->tried,
		      "of %llu connections %llu were served, %llu reset, where "
		      "%llu may be",
		      (unsigned long long)swarm->tried,
		      (unsigned long long)counts->served,
		      (unsigned long long)counts->reset,
		      (unsigned long long)reset_max);
}

void swarm_expect_all_served(const struct swarm *swarm)
{
	const struct swarm_counts *counts = &swarm->counts;
	ck_assert_msg(counts->served == swarm->tried,
		      "of %llu connections %llu were served, %llu refused, "
		      "%llu reset, %llu failed: %s",
		      (unsigned long long)swarm->tried,
		      (unsigned long long)counts->served,
		      (unsigned long long)counts->refused,
		      (unsigned long long)counts->reset,
		      (unsigned long long)counts->failed,
		      strerror(swarm->first_failure));
}

uint32_t swarm_cpus(int out_cpus[2])
{
	cpu_set_t set;
	uint32_t found = 0;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			out_cpus[found++] = cpu;
	return (uint32_t)CPU_COUNT(&set);
}

void swarm_pin(struct swarm_opts *opts, int cpus[2])
{
	opts->thread_count = swarm_cpus(cpus) >= 2 ? 2 : 1;
	opts->cpus = cpus;
}

uint64_t swarm_served_by(const struct swarm *swarm, uint32_t loop,
			 uint32_t first)
{
	uint64_t count = 0;
	for (uint32_t i = first; i < swarm->opts.count; i++)
		count += swarm->loop_of[i] == loop;
	return count;
}

double swarm_imbalance(const uint64_t *counts, uint32_t count)
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

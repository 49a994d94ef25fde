/* hist.h - a histogram of latencies, 1 ns to 1 hour
 *
 * Log-linear: every power of two is cut into 128 equal buckets, so a
 * percentile is off by at most 0.4 % (half a bucket) at any size. The memory
 * is part of the struct: recording is O(1) and allocates nothing.
 */
#ifndef WEIR_TOOLS_HIST_H
#define WEIR_TOOLS_HIST_H

#include <stdint.h>

#define HIST_MAX_NS UINT64_C(3600000000000)

enum {
	HIST_SUB_BITS = 7, /* 128 buckets per power of two */
	HIST_TOP_BIT = 41, /* of HIST_MAX_NS */
	HIST_BUCKET_COUNT = (HIST_TOP_BIT - HIST_SUB_BITS + 2) << HIST_SUB_BITS,
};

/**
 * struct hist - one writer; merge copies when the writers have ended
 * @sum_ns: exact; holds 580 years, 10,000 connections for 21 days
 */
struct hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t buckets[HIST_BUCKET_COUNT];
};

/** hist_init() - empty. */
void hist_init(struct hist *hist);

/** hist_record() - one value; above an hour counts as one hour. */
void hist_record(struct hist *hist, uint64_t value_ns);

/** hist_merge() - add all of @from to @hist. */
void hist_merge(struct hist *hist, const struct hist *from);

/**
 * hist_percentile_ns() - the value that @percent of all values do not exceed
 * @percent: 0 to 100
 *
 * Return: within 0.4 % of that value, and never above the largest; 0 if empty.
 */
uint64_t hist_percentile_ns(const struct hist *hist, double percent);

/** hist_mean_ns() - exact; 0 if empty. */
double hist_mean_ns(const struct hist *hist);

#endif

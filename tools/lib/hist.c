#include "hist.h"

#include <assert.h>
#include <string.h>

enum {
	EXACT_COUNT = 2 << HIST_SUB_BITS, /* from 0: a bucket for each value */
};

/* Above EXACT_COUNT, with @shift bits cut off, a value lies in the upper half
 * of 0..EXACT_COUNT - 1. */
static uint32_t hist_index(uint64_t value_ns)
{
	if (value_ns < EXACT_COUNT)
		return (uint32_t)value_ns;
	int shift = 63 - __builtin_clzll(value_ns) - HIST_SUB_BITS;
	return ((uint32_t)shift << HIST_SUB_BITS) +
	       (uint32_t)(value_ns >> shift);
}

/* The middle of a bucket: hist_index() of it gives @index again. */
static uint64_t hist_middle_ns(uint32_t index)
{
	if (index < EXACT_COUNT)
		return index;
	uint32_t shift = (index >> HIST_SUB_BITS) - 1;
	uint64_t low_ns = (uint64_t)(index - (shift << HIST_SUB_BITS)) << shift;
	return low_ns + ((UINT64_C(1) << shift) >> 1);
}

void hist_init(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

void hist_record(struct hist *hist, uint64_t value_ns)
{
	if (value_ns > HIST_MAX_NS)
		value_ns = HIST_MAX_NS;
	uint32_t index = hist_index(value_ns);
	assert(index < HIST_BUCKET_COUNT);

	hist->buckets[index]++;
	hist->sum_ns += value_ns;
	if (hist->count == 0 || value_ns < hist->min_ns)
		hist->min_ns = value_ns;
	if (value_ns > hist->max_ns)
		hist->max_ns = value_ns;
	hist->count++;
}

void hist_merge(struct hist *hist, const struct hist *from)
{
	if (from->count == 0)
		return;
	if (hist->count == 0 || from->min_ns < hist->min_ns)
		hist->min_ns = from->min_ns;
	if (from->max_ns > hist->max_ns)
		hist->max_ns = from->max_ns;
	hist->count += from->count;
	hist->sum_ns += from->sum_ns;
	for (uint32_t i = 0; i < HIST_BUCKET_COUNT; i++)
		hist->buckets[i] += from->buckets[i];
}

uint64_t hist_percentile_ns(const struct hist *hist, double percent)
{
	assert(percent >= 0.0 && percent <= 100.0);

	if (hist->count == 0)
		return 0;
	double exact_rank = percent / 100.0 * (double)hist->count;
	uint64_t rank = (uint64_t)exact_rank;
	if ((double)rank < exact_rank)
		rank++; /* ceil() without libm */
	if (rank <= 1)
		return hist->min_ns;
	if (rank >= hist->count)
		return hist->max_ns;

	uint64_t seen = 0;
	uint32_t index = 0;
	while (seen + hist->buckets[index] < rank)
		seen += hist->buckets[index++];
	assert(index < HIST_BUCKET_COUNT);

	uint64_t value_ns = hist_middle_ns(index);
	if (value_ns < hist->min_ns)
		return hist->min_ns;
	return value_ns < hist->max_ns ? value_ns : hist->max_ns;
}

double hist_mean_ns(const struct hist *hist)
{
	return hist->count > 0 ? (double)hist->sum_ns / (double)hist->count
			       : 0.0;
}

/* test_hist.c - percentiles against sorted arrays */
#include "../../tools/lib/hist.h"
#include "../suites.h"

#include <stdlib.h>

enum {
	SAMPLE_COUNT = 20000,
};

static struct hist hist;
static struct hist other;
static uint64_t samples[SAMPLE_COUNT];

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int by_value(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one;
	uint64_t b = *(const uint64_t *)two;
	return (a > b) - (a < b);
}

/* Half a bucket is 1/256 of the value; at least the exact range. */
static void check_near(uint64_t got, uint64_t want, const char *what,
		       double percent)
{
	uint64_t error = got > want ? got - want : want - got;
	ck_assert_msg(error <= want / 256 + (want >= 256 ? 1 : 0),
		      "%s, p%g: got %llu ns, want %llu ns", what, percent,
		      (unsigned long long)got, (unsigned long long)want);
}

static const struct {
	const char *what;
	unsigned shift_max; /* each value: random bits, cut to 0..shift_max */
	uint64_t add_ns;
} shapes[] = {
	{ "a few nanoseconds", 7, 0 },
	{ "around a microsecond", 8, 900 },
	{ "all magnitudes up to an hour", 41, 0 },
	{ "a narrow peak with a long tail", 20, 100000 },
	{ "everything in one bucket", 0, 123456789 },
};

START_TEST(hist_percentile_is_within_half_a_bucket_of_the_sorted_array)
{
	static const double percents[] = { 0,  1,  10,   25,   50,    75,
					   90, 99, 99.5, 99.9, 99.99, 100 };
	uint64_t state = 88172645463325252u + (uint64_t)_i;
	uint64_t sum_ns = 0;

	hist_init(&hist);
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		uint64_t bits = next_random(&state);
		unsigned shift =
			(unsigned)(bits >> 57) % (shapes[_i].shift_max + 1);
		samples[i] = (bits & ((UINT64_C(1) << shift) - 1)) +
			     shapes[_i].add_ns;
		sum_ns += samples[i];
		hist_record(&hist, samples[i]);
	}
	qsort(samples, SAMPLE_COUNT, sizeof(samples[0]), by_value);

	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		/* In hundredths of a percent, so that rounding hides nothing.
		 */
		uint64_t parts = (uint64_t)(percents[i] * 100 + 0.5);
		uint64_t rank = (parts * SAMPLE_COUNT + 9999) / 10000;
		uint64_t want = samples[rank > 0 ? rank - 1 : 0];
		check_near(hist_percentile_ns(&hist, percents[i]), want,
			   shapes[_i].what, percents[i]);
	}
	ck_assert_uint_eq(hist.count, SAMPLE_COUNT);
	ck_assert_uint_eq(hist.min_ns, samples[0]);
	ck_assert_uint_eq(hist.max_ns, samples[SAMPLE_COUNT - 1]);
	ck_assert_double_eq_tol(hist_mean_ns(&hist),
				(double)sum_ns / SAMPLE_COUNT, 0.001);
}
END_TEST

START_TEST(hist_keeps_every_power_of_two_and_its_neighbours_apart)
{
	for (unsigned bit = 0; bit <= 41; bit++) {
		for (int step = -1; step <= 1; step++) {
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
			if (value > HIST_MAX_NS)
				continue;
			hist_init(&hist);
			/* Between two others, so that the result is not min or
			 * max. */
			hist_record(&hist, 0);
			hist_record(&hist, value);
			hist_record(&hist, HIST_MAX_NS);
			check_near(hist_percentile_ns(&hist, 50), value,
				   "one value", 50);
		}
	}
}
END_TEST

START_TEST(hist_counts_more_than_an_hour_as_an_hour)
{
	hist_init(&hist);
	hist_record(&hist, UINT64_MAX);
	hist_record(&hist, HIST_MAX_NS + 1);
	ck_assert_uint_eq(hist.max_ns, HIST_MAX_NS);
	ck_assert_uint_eq(hist_percentile_ns(&hist, 50), HIST_MAX_NS);
	ck_assert_uint_eq(hist.count, 2);
}
END_TEST

START_TEST(hist_answers_zero_when_it_is_empty)
{
	hist_init(&hist);
	ck_assert_uint_eq(hist_percentile_ns(&hist, 0), 0);
	ck_assert_uint_eq(hist_percentile_ns(&hist, 99.9), 0);
	ck_assert_uint_eq(hist_percentile_ns(&hist, 100), 0);
	ck_assert_double_eq(hist_mean_ns(&hist), 0.0);
}
END_TEST

START_TEST(hist_merge_equals_one_histogram_of_everything)
{
	static struct hist whole;
	uint64_t state = 42;

	hist_init(&hist);
	hist_init(&other);
	hist_init(&whole);
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		uint64_t value = next_random(&state) >> (24 + i % 30);
		hist_record(i % 3 == 0 ? &hist : &other, value);
		hist_record(&whole, value);
	}
	hist_merge(&hist, &other);
	ck_assert_mem_eq(&hist, &whole, sizeof(whole));
}
END_TEST

START_TEST(hist_merge_of_an_empty_one_changes_nothing)
{
	hist_init(&hist);
	hist_init(&other);
	hist_record(&hist, 500);
	hist_merge(&hist, &other);
	ck_assert_uint_eq(hist.min_ns, 500);
	ck_assert_uint_eq(hist.count, 1);
	hist_merge(&other, &hist);
	ck_assert_mem_eq(&hist, &other, sizeof(hist));
}
END_TEST

WI_SUITE(hist, "hist", WI_MEMCHECK)
{
	TCase *tcase = tcase_create("hist");

	tcase_add_loop_test(
		tcase,
		hist_percentile_is_within_half_a_bucket_of_the_sorted_array, 0,
		sizeof(shapes) / sizeof(shapes[0]));
	tcase_add_test(tcase,
		       hist_keeps_every_power_of_two_and_its_neighbours_apart);
	tcase_add_test(tcase, hist_counts_more_than_an_hour_as_an_hour);
	tcase_add_test(tcase, hist_answers_zero_when_it_is_empty);
	tcase_add_test(tcase, hist_merge_equals_one_histogram_of_everything);
	tcase_add_test(tcase, hist_merge_of_an_empty_one_changes_nothing);
	suite_add_tcase(suite, tcase);
}

/* odometer.h - a small world in every order
 *
 *     benign: 0 0 0 0 0 ...     each run says which choices it met, and how
 *     then:   1 0 0 0 0         many ways each could have gone; the next run
 *             2 0 0 0 0         takes the last one that has a way left, one
 *             0 1 0 0 0 ...     further
 *
 * No schedule twice, none left out. A bound on how many choices are bent keeps
 * it small; most faults of order need two or three.
 */
#ifndef WEIR_SIM_ODOMETER_H
#define WEIR_SIM_ODOMETER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_ODOMETER_DEPTH = 256 };

/**
 * struct sim_odometer - zero but for @depth and @bends before the first run
 * @bytes, @count: of the next run's tape
 * @depth:         choices beyond it are benign; at most SIM_ODOMETER_DEPTH
 * @bends:         so many are not benign, at most
 */
struct sim_odometer {
	uint8_t bytes[SIM_ODOMETER_DEPTH];
	uint32_t count;
	uint32_t depth;
	uint32_t bends;
};

/**
 * sim_odometer_next() - to the next schedule
 * @ways: see struct weir_tape, of the last run
 * @met:  how many choices that had; those that matter, if it ended early
 *
 * Return: false: that was the last.
 */
bool sim_odometer_next(struct sim_odometer *odometer, const uint16_t *ways,
		       size_t met);

#endif

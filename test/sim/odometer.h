/* odometer.h - a small world in every order
 *
 *     benign: 0 0 0 0 0 ...     each run reports the choices it met, and in how
 *     then:   1 0 0 0 0         many ways each could go; the next run changes
 *             2 0 0 0 0         the last choice that has a way left, by one
 *             0 1 0 0 0 ...
 *
 * No schedule comes twice, none is left out. A bound on the choices that are
 * not benign keeps the number small; most bugs of order need two or three.
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
 * @bends:         at most so many choices are not benign
 */
struct sim_odometer {
	uint8_t bytes[SIM_ODOMETER_DEPTH];
	uint32_t count;
	uint32_t depth;
	uint32_t bends;
};

/**
 * sim_odometer_next() - moves to the next schedule
 * @ways: of the last run, see struct weir_tape
 * @met:  number of choices in that run; those that matter, if it ended early
 *
 * Return: false: that was the last.
 */
bool sim_odometer_next(struct sim_odometer *odometer, const uint16_t *ways,
		       size_t met);

#endif

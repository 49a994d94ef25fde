/* min.h - the smaller of two */
#ifndef WEIR_NET_MIN_H
#define WEIR_NET_MIN_H

#include <stdint.h>

static inline uint32_t wi_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint64_t wi_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif

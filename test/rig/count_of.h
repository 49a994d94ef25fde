/* count_of.h - the number of elements of an array */
#ifndef WEIR_TEST_COUNT_OF_H
#define WEIR_TEST_COUNT_OF_H

/* An int, for Check's loops. */
#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

#endif

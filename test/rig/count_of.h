/* count_of.h - how many elements an array has */
#ifndef WEIR_TEST_COUNT_OF_H
#define WEIR_TEST_COUNT_OF_H

/* An int, as Check's loops want it. */
#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

#endif

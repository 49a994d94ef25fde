/* error.h - an error as a number for code and one line of text for people */
#ifndef WEIR_URING_ERROR_H
#define WEIR_URING_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct weir_error - filled by calls that open something
 * @code: negative errno, the same that the call returns; 0 when unset
 * @text: one line: what failed, the value and the limit, what to do next
 *
 * The caller owns it; the calls that take one accept NULL.
 */
struct weir_error {
	int code;
	char text[768];
};

/**
 * weir_error_set() - fill @error with @code and a printf-like line
 *
 * Return: @code, so that `return weir_error_set(...)` reads well.
 * Thread: any; @error is the caller's own.
 */
int weir_error_set(struct weir_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif

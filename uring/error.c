#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int weir_error_set(struct weir_error *error, int code, const char *format, ...)
{
	if (error == NULL)
		return code;

	va_list args;
	va_start(args, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->code = code;
	return code;
}

/* msan_check.c - what Check allocates, MemorySanitizer takes for written
 *
 * Check is a library that was compiled without the sanitizer, so it does not
 * see it write, and memory that it has filled looks as malloc() has left it.
 * Its two allocators are wrapped (-Wl,--wrap, test/meson.build); those of the
 * tests and of weir are not.
 */
#include <sanitizer/msan_interface.h>
#include <stddef.h>

/* The names are the linker's. */
void *__real_emalloc(size_t bytes);
void *__wrap_emalloc(size_t bytes);
void *__real_erealloc(void *memory, size_t bytes);
void *__wrap_erealloc(void *memory, size_t bytes);

void *__wrap_emalloc(size_t bytes)
{
	void *memory = __real_emalloc(bytes);
	__msan_unpoison(memory, bytes);
	return memory;
}

void *__wrap_erealloc(void *memory, size_t bytes)
{
	memory = __real_erealloc(memory, bytes);
	__msan_unpoison(memory, bytes);
	return memory;
}

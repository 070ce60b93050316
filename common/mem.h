/*
 * mem - memory that is always there
 *
 * Memory running out ends the process inside these functions (the master forks a
 * new one), so no caller checks. What they return is freed by mem_free(). Secrets
 * end with mem_wipe() or mem_free_secret(). Built on: must.
 */
#ifndef POSTERN_COMMON_MEM_H
#define POSTERN_COMMON_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* `size` bytes, all zero. */
void *mem_alloc(size_t size);

/* `count` elements of `size` bytes, all zero; a product that overflows ends the process. */
void *mem_array(size_t count, size_t size);

/* As realloc(3): the old block moves to a new size; what is new is not cleared. Not for secrets. */
void *mem_resize(void *old, size_t size);

void *mem_dup(const void *bytes, size_t len);
char *mem_strdup(const char *text);               /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len);  /* copies exactly `len` bytes and ends them with NUL */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* NULL is fine. */
void mem_free(void *block);

/* Overwrites in a way that the compiler keeps. */
void mem_wipe(void *bytes, size_t len);

/* Wipes and frees the string *textp and leaves NULL there. NULL is fine. */
void mem_free_secret(char **textp);

/* Compares secrets in a time that depends on `len` alone. */
bool mem_same_secret(const void *a, const void *b, size_t len);

#endif

#include "common/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

static void *
checked(void *block)
{
	if (block == NULL)
		must_die("out of memory");
	return block;
}

void *
mem_alloc(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1));
}

void *
mem_array(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		must_die("out of memory");
	return mem_alloc(bytes);
}

void *
mem_resize(void *old, size_t size)
{
	return checked(realloc(old, size > 0 ? size : 1));
}

void *
mem_dup(const void *bytes, size_t len)
{
	void *copy = checked(malloc(len > 0 ? len : 1));

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *
mem_strdup(const char *text)
{
	return text == NULL ? NULL : mem_dup(text, strlen(text) + 1);
}

char *
mem_strndup(const char *text, size_t len)
{
	char *copy = checked(malloc(len + 1));

	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *
mem_vprintf(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		must_die("out of memory");
	return text;
}

char *
mem_printf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = mem_vprintf(format, args);
	va_end(args);
	return text;
}

void
mem_free(void *block)
{
	free(block);
}

void
mem_wipe(void *bytes, size_t len)
{
	if (len > 0)
		explicit_bzero(bytes, len);
}

void
mem_free_secret(char **textp)
{
	if (*textp == NULL)
		return;
	mem_wipe(*textp, strlen(*textp));
	mem_free(*textp);
	*textp = NULL;
}

bool
mem_same_secret(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char differs = 0;

	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)(x[i] ^ y[i]);
	return differs == 0;
}

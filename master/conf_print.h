/*
 * conf_print - directives as text that can be read back
 *
 * Built on: nothing.
 */
#ifndef POSTERN_MASTER_CONF_PRINT_H
#define POSTERN_MASTER_CONF_PRINT_H

#include <stdint.h>
#include <stdio.h>

struct conf;

struct conf_printer {
	FILE *out;
	const struct conf *conf;
	unsigned depth;         /* of blocks: the indentation */
};

/* Prints "name word word;" on a line of its own; NULL ends the words. A word is quoted where it must be. */
void conf_print(const struct conf_printer *p, const char *name, ...) __attribute__((sentinel));
void conf_print_list(const struct conf_printer *p, const char *name, const char *const *words);

/* Prints "name VALUE;" with the value as format says; it needs no quotes. */
void conf_print_plain(const struct conf_printer *p, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

/*
 * conf_parameter - the "name=value" words behind a directive's first
 *
 * A directive that knows such words has a table of them. Built on: conf_build, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_PARAMETER_H
#define POSTERN_MASTER_CONF_PARAMETER_H

#include <stddef.h>

struct conf_build;

struct conf_parameter {
	const char *name;       /* with its "=", if it has a value; NULL ends the table */
	/* Reads the value into `target`. Returns NULL, or a static phrase saying what is wrong. */
	const char *(*set)(struct conf_build *b, void *target, const char *value);
};

/* Reads the words, each parameter at most once. Returns 0, or -1 for a word that is none, and that has been said. */
int conf_parameters_read(struct conf_build *b, const struct conf_parameter *table, void *target, size_t argc,
    const char *const *argv);

#endif

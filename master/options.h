/*
 * options - the command line, as nginx has it
 *
 * Values may be glued to their letter or stand alone, letters may be bundled. Nothing
 * is looked at but the text. Built on: signals.
 */
#ifndef POSTERN_MASTER_OPTIONS_H
#define POSTERN_MASTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* All texts are borrowed from argv; NULL where an option was not given. */
struct options {
	bool help, version, build;
	bool test;              /* -t, and whatever implies it */
	bool dump_files;        /* -T */
	bool dump_conf;         /* -D */
	bool quiet;
	const char *signal;     /* one of the words that signals_by_word() knows */
	const char *prefix;
	const char *conf_path;
	const char *error_log;
	const char *directives;
};

/* Returns 0, or -1 with what is wrong in `why`. */
int options_parse(struct options *options, int argc, char *const *argv, char *why, size_t size);

#endif

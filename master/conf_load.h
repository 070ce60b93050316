/*
 * conf_load - reads the configuration
 *
 * The files are nginx text; conf_translate turns them into libconfuse's, libconfuse
 * takes that apart, conf_table knows every directive and conf_type gives each its value.
 * Whatever is wrong is said by log_say(), one line, `... in FILE:LINE`, and nothing is
 * loaded. Loading opens configuration files, and those that hold passwords of ours, and
 * nothing else; it resolves no name:
 *
 *     conf_load()   ->   somebody resolves conf->names   ->   conf_check()
 *
 * The texts are wiped when they have been read, unless they are wanted.
 * Built on: conf_translate, conf_table, conf_build, conf_merge, conf_say, libconfuse.
 */
#ifndef POSTERN_MASTER_CONF_LOAD_H
#define POSTERN_MASTER_CONF_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct conf;

struct conf_request {
	const char *path;       /* the main file; absolute */
	const char *prefix;     /* the folder where main-context files start; absolute */
	const char *directives; /* text of -g, or NULL */
	const char *error_log;  /* -e: "stderr" or a file, for a configuration that names none; or NULL */
	bool test;              /* -t: warn also of what is merely unwise */
	bool keep_texts;        /* -T: conf->texts for conf_print_files() */
	uint32_t generation;
};

/* NULL when it cannot be loaded, and that has been said. Freed by conf_free(). */
struct conf *conf_load(const struct conf_request *request);

#endif

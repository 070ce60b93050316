/*
 * conf_dump - shows a configuration to people
 *
 * conf_dump() prints what is in force, every directive with its value, defaults
 * included, as text that Postern itself would load to the same effect. What a file
 * included or a server inherited stands where it takes effect.
 * Built on: conf_table.
 */
#ifndef POSTERN_MASTER_CONF_DUMP_H
#define POSTERN_MASTER_CONF_DUMP_H

#include <stdio.h>

struct conf;

/* `conf` has passed conf_check(). */
void conf_dump(FILE *out, const struct conf *conf);

/* Prints every file behind `# configuration file PATH:`, as they were read; needs conf->texts. */
void conf_print_files(FILE *out, const struct conf *conf);

#endif

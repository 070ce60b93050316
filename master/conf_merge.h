/*
 * conf_merge - what the text does not say
 *
 * Defaults, what servers inherit from mail{}, the protocol by the port, the sources
 * that servers share; then the complaints that need no resolved name.
 * Built on: conf_table, conf_type.
 */
#ifndef POSTERN_MASTER_CONF_MERGE_H
#define POSTERN_MASTER_CONF_MERGE_H

struct conf_build;

/* Returns 0, or -1 when something necessary is missing, and that has been said. */
int conf_merge(struct conf_build *b);

#endif

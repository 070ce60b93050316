/*
 * conf_tls - what a server's TLS settings must have, on all of its sides
 *
 * Looks at a server whose values are all there. Whether files can be read and what is in
 * them is for those to say who build from them. Built on: conf_build, conf_table, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_TLS_H
#define POSTERN_MASTER_CONF_TLS_H

struct conf_build;
struct server;

/* Says which sides are needed, and that something is missing there: then it returns -1, else 0. */
int conf_tls_complete(struct conf_build *b, struct server *server);

/* The settings for https:// as text, equal for equal ones; in the arena. */
const char *conf_tls_https_key(struct conf_build *b, const struct server *server);

#endif

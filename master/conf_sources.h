/*
 * conf_sources - what becomes of the auth_* lines of a server
 *
 * A source takes up the settings that stand beside its line, and its key with them:
 * servers whose sources have the same settings share one. Built on: conf_build,
 * conf_chain, conf_secret, conf_tls.
 */
#ifndef POSTERN_MASTER_CONF_SOURCES_H
#define POSTERN_MASTER_CONF_SOURCES_H

struct conf_build;
struct server;

/*
 * Gives a server, whose values are all there, its sources, cache and master user.
 * Returns 0, or -1 when something is missing or does not fit, and that has been said.
 */
int conf_sources_complete(struct conf_build *b, struct server *server);

#endif

/*
 * conf_check - makes a configuration whole once its names are resolved
 *
 * Listens become sockets to be: every address of every name and port, no two the
 * same, specific addresses behind the wildcard of their port. What a running server
 * would trip over is refused here, and what is unwise is warned of. Opens nothing but
 * the files whose being there and modes it looks at.
 * Built on: conf_build, conf_binds, conf_listens, conf_networks, conf_secret, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_CHECK_H
#define POSTERN_MASTER_CONF_CHECK_H

struct conf;
struct conf_request;

/* Returns 0, or -1 when the configuration is no good, and that has been said. */
int conf_check(struct conf *conf, const struct conf_request *request);

#endif

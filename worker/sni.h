/*
 * sni - which of the servers that share a listen does a client mean?
 *
 * A client names a host in its ClientHello (RFC 6066 section 3). An exact server_name
 * comes first, then the longest "*.domain" that the name ends in, else the first server
 * of the listen. Built on: conf.
 */
#ifndef POSTERN_WORKER_SNI_H
#define POSTERN_WORKER_SNI_H

#include "common/conf.h"

/* Never NULL. `name` is in lower case; NULL when the client named none. */
const struct server *sni_choose(const struct conf_listen *listen, const char *name);

#endif

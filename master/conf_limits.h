/*
 * conf_limits - limits find the zones that they name
 *
 * A zone may be defined behind its use, so that this waits until all has been read.
 * Built on: conf_build, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_LIMITS_H
#define POSTERN_MASTER_CONF_LIMITS_H

struct conf_build;
struct server;

/*
 * Gives the limits of a server, or of the mail block, their zones. Returns 0, or -1 for one that is
 * none, and that was said.
 */
int conf_limits_complete(struct conf_build *b, struct server *server);

#endif

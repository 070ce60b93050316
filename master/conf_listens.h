/*
 * conf_listens - from `listen` lines to sockets
 *
 * A line may mean many addresses (a name, a range of ports). Each gets its conf_listen.
 * Servers with TLS may share an address if all that a client sees before it names one of
 * them is the same; any other address twice is an error. A specific address without a
 * socket of its own is served by the wildcard of its family and port. Built on: conf_build, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_LISTENS_H
#define POSTERN_MASTER_CONF_LISTENS_H

struct conf;

/*
 * Fills in conf->listens, in the order of the text. Returns 0, or -1 when an address is wrongly
 * there twice, and that has been said.
 */
int conf_listens_expand(struct conf *conf);

#endif

/*
 * conf_binds - what can be known of proxy_bind before a backend is connected
 *
 * Whether workers may bind sockets at all, and with which right; and warnings of addresses
 * that are not there and of backends that cannot be reached from them. Neither is an error:
 * an address may come later (a pair of gateways hands one on), and with it the other
 * backends of a name. Built on: conf, conf_say, sock.
 */
#ifndef POSTERN_MASTER_CONF_BINDS_H
#define POSTERN_MASTER_CONF_BINDS_H

struct conf;

/* Fills in conf->binding and conf->transparent, once names are resolved, and warns. */
void conf_binds_check(struct conf *conf);

#endif

/*
 * conf_networks - sets of addresses, made of the lists in the configuration
 *
 * Once names have been resolved. A list that servers inherit is made into one set, which
 * they share. Built on: conf, addrset.
 */
#ifndef POSTERN_MASTER_CONF_NETWORKS_H
#define POSTERN_MASTER_CONF_NETWORKS_H

struct conf;

/* Fills in debug_connections, and each server's clients, trusted_proxies and unlimited. */
void conf_networks_build(struct conf *conf);

#endif

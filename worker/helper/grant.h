/*
 * grant - what a stored user is granted besides a password
 *
 * The words in which a password file's keys and a database's columns say from where and
 * by which protocol somebody may come, and which backend the session gets. Each function
 * reads one value; text NULL is a value that is not there, and grants what nobody
 * restricts. Pure. Built on: addr, addrset, conf.h (enum proxy_ssl), mem, num, protocols.
 */
#ifndef POSTERN_WORKER_HELPER_GRANT_H
#define POSTERN_WORKER_HELPER_GRANT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/protocols.h"

/* allow_nets, "NET,NET,...": addresses, CIDR networks, "local" for UNIX sockets. Returns NULL, or what is wrong. */
const char *grant_judge_nets(const char *text, size_t len);

/* May somebody come from there? Not if the list is wrong. */
bool grant_allows_client(const char *text, size_t len, const struct addr *client);

/* protocols, "imap,pop3,...": the same two. */
const char *grant_judge_protocols(const char *text, size_t len);
bool grant_allows_protocol(const char *text, size_t len, enum protocol protocol);

/*
 * ssl: "yes" (and Dovecot's "any-cert"), "no", "starttls". No certificate is believed for
 * being called any-cert: whether they are looked at is the server's business. Returns
 * NULL, or what is wrong; *ssl is left alone when nothing is said.
 */
const char *grant_ssl(const char *text, size_t len, enum proxy_ssl *ssl);

/*
 * The backend: host is a name, an address, either with a port, or "unix:PATH"; port beside
 * it is the stronger one. Returns NULL and *host fresh, *port 0 when none is given; without
 * a host all three are left alone. Else returns what is wrong.
 */
const char *grant_backend(const char *host_text, const char *port_text, size_t port_len, char **host, unsigned *port,
    bool *is_unix);

#endif

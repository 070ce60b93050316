/*
 * naming - how an SMTP client is called, before it is greeted
 *
 * With a `resolver` the name that DNS has for the client's address, confirmed, is what
 * auth_http and the backend are told; where there is none, or it cannot be had now, that.
 * The greeting waits for it, for resolver_timeout at most; that is not the client's time.
 * What a client says meanwhile is left for later, and one that leaves is forgotten.
 * Built on: session, hostnames.
 */
#ifndef POSTERN_WORKER_NAMING_H
#define POSTERN_WORKER_NAMING_H

struct session;

/*
 * Finds out, if the server wants that, then calls named(s), perhaps at once. When the
 * session ends on the way `named` is not called.
 */
void naming_begin(struct session *s, void (*named)(struct session *s));

#endif

/*
 * upstream - where a login's backend is
 *
 * Turns what the source named (an address, a host name, a UNIX socket), or the server's
 * proxy_pass, into the addresses to try, in order. Built on: conf, resolver.
 */
#ifndef POSTERN_WORKER_UPSTREAM_UPSTREAM_H
#define POSTERN_WORKER_UPSTREAM_UPSTREAM_H

#include <stddef.h>

#include "common/conf.h"
#include "common/loop.h"
#include "worker/net/resolver.h"

struct upstream_request;

struct upstream_peers {
	struct endpoint *peers; /* owned */
	size_t count;
};

/* What is looked for. Borrowed until the callback. */
struct upstream_target {
	const char *host;       /* NULL: proxy_pass */
	unsigned port;          /* for proxy_pass: when it names none */
	bool is_unix;
	const struct conf_name *proxy_pass;
};

/* None in `peers` means not found, and `why` (static) says why. The peers are the callee's from now on. */
typedef void upstream_callback(void *ctx, struct upstream_peers *peers, const char *why);

/*
 * Looks the target up. *requestp becomes what can be cancelled until the callback. What needs
 * no resolver is answered at once: *requestp is NULL then, and may be gone with its owner
 * when the callback returns.
 */
void upstream_find(struct upstream_request **requestp, struct resolver *resolver, const struct upstream_target *target,
    upstream_callback *found, void *ctx);

void upstream_cancel(struct upstream_request **requestp);
void upstream_peers_reset(struct upstream_peers *peers);

/* "host:port" or "unix:/path", fresh: to tell whether two answers mean the same backend. NULL for proxy_pass. */
char *upstream_target_text(const struct upstream_target *target);

#endif

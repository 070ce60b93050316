/*
 * dnsloop - a c-ares channel on the worker's loop
 *
 * c-ares says what its sockets wait for and when it wants to look after its queries;
 * this module sees to both. What is asked, and of whom, is its owner's. A channel is
 * made before the sandbox, since c-ares reads files on the way, and it is never
 * cancelled: c-ares may not be cancelled from inside of its callbacks.
 * Built on: loop, list, mem, c-ares.
 */
#ifndef POSTERN_WORKER_NET_DNSLOOP_H
#define POSTERN_WORKER_NET_DNSLOOP_H

#include <ares.h>

#include "common/list.h"
#include "common/loop.h"

struct dnsloop {
	ares_channel channel;
	struct loop *loop;              /* borrowed */
	struct loop_timer timer;        /* when c-ares wants to look after its queries */
	struct list watches;            /* one a socket of c-ares */
};

/*
 * Makes the channel, with `options` as far as `mask` (ARES_OPT_*) says; look-ups and
 * sockets are ours, and so is one flag more. It asks DNS alone. Returns 0, or -1 with *why,
 * a static text.
 */
int dnsloop_open(struct dnsloop *d, struct loop *loop, const struct ares_options *options, int mask, const char **why);

/* Every query that has not been answered hears ARES_EDESTRUCTION. */
void dnsloop_close(struct dnsloop *d);

/* To be called behind each query that was put from outside of a callback of c-ares. */
void dnsloop_look(struct dnsloop *d);

#endif

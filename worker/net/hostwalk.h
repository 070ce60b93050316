/*
 * hostwalk - the walk from an address to its name, and back
 *
 * First the PTR record of the address is asked for, then the addresses of the name that it
 * gives. A question that servers could not or would not answer goes to them again a few times,
 * one that was met by silence as long as somebody wants to know. Nothing is remembered here:
 * that is hostnames' part.
 * Built on: dnsloop, dns_answer, hostname, conf, mem.
 */
#ifndef POSTERN_WORKER_NET_HOSTWALK_H
#define POSTERN_WORKER_NET_HOSTWALK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "worker/net/dnsloop.h"
#include "worker/net/hostname.h"

struct conf_resolver;
struct loop;
struct hostwalk;

/* Whom the walks of a worker ask. */
struct hostwalk_servers {
	struct dnsloop dns;
	unsigned tries;         /* of a question that servers do not want to answer */
};

/* Returns 0, or -1 with *why, a static text. Call before the sandbox. */
int hostwalk_open(struct hostwalk_servers *servers, struct loop *loop, const struct conf_resolver *conf,
    const char **why);

/* Ends all walks; none of them is heard of again. */
void hostwalk_close(struct hostwalk_servers *servers);

/* Who wants to know. */
struct hostwalk_asker {
	/* It is over; called once, from within c-ares, perhaps already from within hostwalk_start(). */
	void (*done)(struct hostwalk *walk, enum hostname_verdict verdict, unsigned code);
	bool (*is_wanted)(const struct hostwalk *walk);         /* still? */
};

/* Embedded in what its asker knows of the address. */
struct hostwalk {
	struct hostwalk_servers *servers;       /* borrowed */
	const struct hostwalk_asker *asker;     /* borrowed */
	struct addr addr;
	char *name;             /* owned; NULL: none was found, or not yet */
	uint32_t ttl_s;         /* how long the answers say that they are good */
	bool named;             /* under way, and the PTR has come: it is about the name's addresses */
	unsigned refusals;      /* servers that could or would not answer this question */
};

void hostwalk_init(struct hostwalk *walk, struct hostwalk_servers *servers, const struct hostwalk_asker *asker,
    const struct addr *addr);

/* Begins; what an earlier walk had found is forgotten. */
void hostwalk_start(struct hostwalk *walk);

/* Not while it is under way, unless its servers are closed. */
void hostwalk_reset(struct hostwalk *walk);

#endif

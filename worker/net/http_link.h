/*
 * http_link - one connection of an http_client
 *
 * Connects, shakes hands, sends one request at a time and reads its answer, then goes
 * back into the pool. The two modules are one behind http_client.h; the pool, its
 * addresses and what callers see are http_client's, whatever happens on a connection is
 * this one's. Built on: conn, http_parse.
 */
#ifndef POSTERN_WORKER_NET_HTTP_LINK_H
#define POSTERN_WORKER_NET_HTTP_LINK_H

#include "common/list.h"
#include "worker/net/conn.h"
#include "worker/net/http_client.h"

struct http_client {
	const struct conf_name *server;         /* borrowed */
	struct http_keep keep;
	struct loop *loop;                      /* borrowed */
	struct resolver *resolver;              /* borrowed */
	struct endpoint *addresses;             /* owned, as is each */
	size_t address_count, preferred;        /* `preferred` worked last */
	struct resolver_query *query;           /* refreshing them */
	uint64_t refresh_at_ms;
	struct list busy;                       /* links with a call, or that skip a body */
	struct list idle;                       /* kept; the last was used last */
	unsigned idle_count, spare_count;
};

/* LINK_BODY is read for the call; LINK_REST is skipped, its call has ended. */
enum link_state { LINK_CONNECTING, LINK_SECURING, LINK_SENDING, LINK_HEAD, LINK_BODY, LINK_REST, LINK_IDLE };

/* One connection. */
struct http_link {
	struct conn conn;
	struct list node;
	struct http_client *client;
	struct http_call *call;         /* NULL in LINK_REST and LINK_IDLE */
	enum link_state state;
	bool spare;                     /* its call has ended: counted in the client's spare_count */
	bool kept;                      /* from an earlier call, and silent since: may have died meanwhile */
	size_t which;                   /* of the client's addresses */
	struct endpoint peer;
	char *reason;                   /* owned: why TLS failed; NULL: it did not */
	size_t sent;                    /* of the request */
	struct buf in;
	struct http_head head;
	struct http_body body;
	struct buf content;             /* of the body, as far as it is wanted */
	size_t skipped;                 /* of the body */
	unsigned answers;               /* that it has brought */
	struct loop_timer timer;
	struct loop_task burial;
};

/* Begins a call: on a new connection; on one from the pool. */
void http_link_begin(struct http_client *client, struct http_call *call);
void http_link_reuse(struct http_link *link, struct http_call *call);

/* Ends the connection. The memory stays to the end of the turn: callers up the stack still look at it. */
void http_link_close(struct http_link *link);

#endif

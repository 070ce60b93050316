#include "worker/entry.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/net/conn.h"
#include "worker/proto/smtp_gate.h"

#define OUT_LIMIT 16384         /* of answers that gather; a backend's reply comes on top */

/* A challenge of 64 random bits (RFC 2195 section 2, RFC 1939 section 7), where a method wants one. */
static void
make_salt(struct facts *facts)
{
	const struct server *server = facts->server;
	uint64_t random;

	if ((server->protocols[server->protocol].methods & (METHOD_APOP | METHOD_CRAM_MD5)) == 0)
		return;
	MUST(getrandom(&random, sizeof(random), 0) == sizeof(random));
	snprintf(facts->salt, sizeof(facts->salt), "<%llu.%lld@%.*s>", (unsigned long long)random,
	    (long long)time(NULL), PROTO_SALT - 64, server->name);
}

void
entry_fit(struct entry *e)
{
	const struct server *server = e->facts.server;

	if (e->facts.salt[0] == '\0')
		make_salt(&e->facts);
	e->in.limit = server->protocols[server->protocol].client_buffer;
	e->out.limit = OUT_LIMIT + server->proxy_buffer;
	e->backend_in.limit = server->proxy_buffer;
}

struct entry *
entry_new(const struct server *server, const struct addr *addr)
{
	struct entry *e = mem_alloc(sizeof(*e));

	e->facts.server = server;
	e->facts.client = addr;
	e->facts.client_host = "[UNAVAILABLE]";
	e->client = proto_get(server->protocol)->client_new(&e->facts);
	buf_init(&e->in, 0);
	buf_init(&e->out, 0);
	buf_init(&e->backend_in, 0);
	entry_fit(e);
	/* Whatever is sent to a backend's login is made of what the client's buffer and the source can hold. */
	buf_init(&e->backend_out, 4 * (PROTO_PASS_MAX + PROTO_USER_MAX));
	e->left_ms = server->timeout;
	return e;
}

void
entry_cancel(struct entry *e)
{
	if (e == NULL)
		return;
	auth_cancel(&e->asking);
	upstream_cancel(&e->looking);
}

void
entry_free(struct entry **entryp)
{
	struct entry *e = *entryp;

	if (e == NULL)
		return;
	*entryp = NULL;
	entry_cancel(e);
	upstream_peers_reset(&e->peers);
	if (e->login != NULL)
		e->login->proto->login_free(&e->login);
	e->client->proto->client_free(&e->client);
	if (e->gate != NULL)
		smtp_gate_free(&e->gate);
	buf_reset(&e->in);
	buf_reset(&e->out);
	buf_reset(&e->backend_in);
	buf_reset(&e->backend_out);
	mem_free(e->guard);
	mem_free(e->target);
	mem_free(e->ssl_name);
	mem_free(e->host);
	mem_free(e->refusal_text);
	mem_free(e->refusal_code);
	mem_free(e->refusal_challenge);
	mem_free(e);
}

int
entry_flush(struct conn *to, struct buf *b)
{
	while (b->len > 0) {
		ssize_t sent = conn_send(to, buf_head(b), b->len);

		if (sent == -1)
			return errno == EAGAIN ? 0 : -1;
		buf_take(b, (size_t)sent);
	}
	/* The last words of a handshake wait for company. Where nothing follows they go alone. */
	return conn_flush(to);
}

int
entry_fill(struct conn *from, struct buf *b, char *scratch, size_t size)
{
	size_t room = buf_left(b) < size ? buf_left(b) : size;
	ssize_t got;

	if (!from->readable || from->eof || room == 0)
		return 0;
	got = conn_recv(from, scratch, room);
	if (got == -1)
		return errno == EAGAIN ? 0 : -1;
	MUST(buf_add(b, scratch, (size_t)got) == 0);
	mem_wipe(scratch, (size_t)got);
	return got > 0;
}

#include "worker/preface.h"

#include <string.h>

#include "worker/entry.h"
#include "worker/proto/proxyhdr.h"
#include "worker/session.h"

static int
compose(const struct session *s, struct buf *out)
{
	const struct facts *facts = &s->entry->facts;
	const struct tls_facts *tls = &facts->tls;
	const struct addr to = session_destination(s);
	bool verified = tls->verify != NULL && strcmp(tls->verify, "SUCCESS") == 0;
	const struct proxyhdr_facts told = {
		.authority = tls->sni, .alpn = tls->alpn, .session = facts->session,
		.tls_version = facts->secure ? tls->protocol : NULL, .tls_cipher = tls->cipher,
		/* A name that nobody vouches for is not passed on: who reads it may not look whether somebody does. */
		.tls_common_name = verified ? tls->common_name : NULL,
		.has_certificate = tls->subject != NULL, .verified = verified, .resumed = tls->resumed,
	};

	if (session_server(s)->proxy_protocol == PROXY_PROTOCOL_V2)
		return proxyhdr_write_v2(out, &s->addr, &to, &told);
	return proxyhdr_write_v1(out, &s->addr, &to);
}

bool
preface_send(struct session *s)
{
	struct buf out;
	bool sent;

	if (session_server(s)->proxy_protocol == PROXY_PROTOCOL_OFF)
		return true;
	buf_init(&out, PROXYHDR_MAX);
	sent = compose(s, &out) == 0 && conn_send(&s->backend, buf_head(&out), out.len) == (ssize_t)out.len;
	buf_reset(&out);
	if (!sent)
		session_log(s, LOG_ERROR, "could not send PROXY protocol header at once");
	return sent;
}

#include "test/unit/tlsscene.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/certbox.h"
#include "test/unit/unit.h"

#define PAIRS 2

struct tlspool *scene_pool;
struct conf_tls scene_server, scene_client;
SSL_SESSION *scene_session;
unsigned scene_session_count;

void
scene_files(void)
{
	certbox_open();
	certbox_issue(&(struct certbox_request){ .name = "good", .ca = "ca" });
	certbox_issue(&(struct certbox_request){ .name = "expired", .ca = "ca", .from = -7200, .until = -3600 });
	certbox_issue(&(struct certbox_request){ .name = "revoked", .ca = "ca" });
	certbox_issue(&(struct certbox_request){ .name = "lonely" });
	certbox_revoke("ca", "none.crl", NULL);
	certbox_revoke("ca", "revoked.crl", "revoked");
}

void
scene_no_files(void)
{
	certbox_close();
}

void
scene_open(void)
{
	scene_pool = tlspool_new();
	scene_server = (struct conf_tls){
		.protocols = SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3,
		.ciphers = "HIGH:!aNULL:!MD5",
		.curves = "auto",
		.verify_depth = 1,
		.tickets = true,
		.session_timeout_s = 300,
	};
	scene_client = (struct conf_tls){
		.protocols = SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3,
		.verify = SSL_VERIFY_ON,
		.verify_depth = 1,
		.trusted_certificate = certbox_path("ca.pem"),
		.send_sni = true,
		.session_reuse = true,
	};
	scene_certify(&scene_server, "server");
}

void
scene_close(void)
{
	SSL_SESSION_free(scene_session);
	scene_session = NULL;
	tlsctx_release(&scene_server.context);
	tlsctx_release(&scene_client.context);
	tlspool_free(&scene_pool);
	ck_assert_uint_eq(ERR_peek_error(), 0);
}

void
scene_certify(struct conf_tls *tls, const char *name)
{
	static const char *lists[8][PAIRS * 2 + 2];
	static size_t used;
	const char **list = lists[used++ % 8];
	char file[64];

	tls->certificates = tls->keys = NULL;
	if (name == NULL)
		return;
	snprintf(file, sizeof(file), "%s.pem", name);
	list[0] = certbox_path(file);
	snprintf(file, sizeof(file), "%s.key", name);
	list[2] = certbox_path(file);
	list[1] = list[3] = NULL;
	tls->certificates = &list[0];
	tls->keys = &list[2];
}

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(scene_session);
	scene_session = session;
	scene_session_count++;
	return 1;
}

void
scene_build_server(struct conf_tls *tls)
{
	char why[1024] = "";

	tlsctx_release(&tls->context);
	tls->context = tlsctx_server(scene_pool, tls, why, sizeof(why));
	ck_assert_msg(tls->context != NULL, "%s", why);
}

void
scene_build(void)
{
	char why[1024] = "";

	scene_build_server(&scene_server);
	tlsctx_release(&scene_client.context);
	scene_client.context = tlsctx_peer(scene_pool, &scene_client, why, sizeof(why));
	ck_assert_msg(scene_client.context != NULL, "%s", why);
	SSL_CTX_sess_set_new_cb(tlsctx_ssl(scene_client.context), keep_session);
}

struct scene_meeting
scene_prepare(const char *host, const char *alpn, struct tls_choice *choice)
{
	return (struct scene_meeting){
		.client = tlsctx_new_client(&scene_client, host, alpn),
		.server = tlsctx_new_server(&scene_server, choice, "imap"),
	};
}

static void
meet(struct scene_meeting *m)
{
	m->done = certbox_shake(m->client, m->server);
	if (m->done)
		certbox_talk(m->client, m->server);
}

struct scene_meeting
scene_meet(const char *host, const char *alpn)
{
	struct scene_meeting m = scene_prepare(host, alpn, NULL);

	meet(&m);
	return m;
}

void
scene_part(struct scene_meeting *m)
{
	/* Without a farewell a session may not be resumed. */
	if (m->done) {
		SSL_shutdown(m->client);
		SSL_shutdown(m->server);
	}
	SSL_free(m->client);
	SSL_free(m->server);
	ERR_clear_error();
}

bool
scene_resumes(const char *alpn)
{
	struct scene_meeting m = {
		.client = tlsctx_new_client(&scene_client, "server", NULL),
		.server = tlsctx_new_server(&scene_server, NULL, alpn),
	};
	bool resumed;

	if (scene_session != NULL)
		ck_assert_int_eq(SSL_set_session(m.client, scene_session), 1);
	meet(&m);
	ck_assert(m.done);
	resumed = SSL_session_reused(m.server) == 1;
	ck_assert_int_eq(resumed, SSL_session_reused(m.client));
	/* TLS 1.2 renews a ticket without a word to the callback. */
	if (SSL_version(m.client) == TLS1_2_VERSION) {
		SSL_SESSION_free(scene_session);
		scene_session = SSL_get1_session(m.client);
	}
	scene_part(&m);
	return resumed;
}

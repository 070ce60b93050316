#include "common/tlsctx.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/tlscache.h"
#include "common/tlscert.h"
#include "common/tlsctx_parts.h"
#include "common/tlsstaple.h"
#include "common/tlsticket.h"

#define NAME_MAX_LEN 255        /* of a host name */
#define NOBODY "invalid"        /* no certificate is for it (RFC 2606 section 2) */
#define DEFAULT_CURVES "X25519:P-256:X448:P-521:P-384"

/* What a connection is to us, beside its SSL, which frees it. */
struct side {
	const struct conf_tls *tls;
	struct tls_choice *choice;      /* borrowed; NULL once it has chosen */
	const char *alpn;
	bool heard;                     /* a ClientHello; after a HelloRetryRequest comes another */
	/* of the client's certificate: the first that nothing excuses, else the first */
	int fault;
};

static int side_index = -1;             /* of SSL: struct side */
static int base_index = -1;             /* of SSL_CTX: struct tlsbase */
static uint32_t own_slot = BOARD_NO_SLOT;

static struct side *
side_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, side_index);
}

static const struct tlsctx *
context_of(const SSL *ssl)
{
	return side_of(ssl)->tls->context;
}

/* ---- whose settings: the ClientHello ---- */

/*
 * RFC 6066 section 3: a list of names of which we know the type "host". Lower case, no dot behind;
 * false if there is none.
 */
static bool
read_sni(SSL *ssl, char name[NAME_MAX_LEN + 1])
{
	const unsigned char *ext;
	size_t size, len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &size) != 1 || size < 5 ||
	    ext[2] != TLSEXT_NAMETYPE_host_name)
		return false;
	len = (size_t)ext[3] << 8 | ext[4];
	if (len == 0 || len > NAME_MAX_LEN || len > size - 5 || memchr(ext + 5, '\0', len) != NULL)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tolower(ext[5 + i]);
	if (name[len - 1] == '.')
		len--;
	name[len] = '\0';
	return len > 0;
}

/* Sessions are nothing to other settings, nor to another protocol on the same ones. */
static void
mark_sessions(SSL *ssl, const struct side *side)
{
	unsigned char id[SSL_MAX_SID_CTX_LENGTH] = { 0 };

	memcpy(id, side->tls->context->sid, TLSCTX_SID);
	if (side->alpn != NULL)
		memcpy(id + TLSCTX_SID, side->alpn, strnlen(side->alpn, sizeof(id) - TLSCTX_SID));
	SSL_set_session_id_context(ssl, id, sizeof(id));
}

/* An SSL has copied these from its first SSL_CTX, and SSL_set_SSL_CTX() leaves them alone. */
static void
copy_settings(SSL *ssl, const struct tlsbase *base, const struct tlsbase *old)
{
	SSL_CTX *from = base->ssl;

	SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(from));
	SSL_set_options(ssl, SSL_CTX_get_options(from));
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(from), SSL_CTX_get_verify_callback(from));
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(from));
	SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(from));
	SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(from));
	SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(from));
	/* Without a list of its own a context has OpenSSL's; what another had must not stay. */
	if (base->curves != NULL || old->curves != NULL)
		SSL_set1_groups_list(ssl, base->curves != NULL ? base->curves : DEFAULT_CURVES);
	if (strcmp(base->suites, old->suites) != 0)
		SSL_set_ciphersuites(ssl, base->suites);
}

static void
use_settings(SSL *ssl, struct side *side, const struct conf_tls *tls)
{
	const struct tlsctx *old = side->tls->context, *context = tls->context;

	MUST(context != NULL);
	side->tls = tls;
	if (context->base != old->base) {
		SSL_set_SSL_CTX(ssl, context->base->ssl);
		copy_settings(ssl, context->base, old->base);
	}
	if (context != old)
		mark_sessions(ssl, side);
}

/* Before anything is agreed on: neither version nor session nor certificate. */
static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct side *side = side_of(ssl);
	struct tls_choice *choice = side->choice;
	char name[NAME_MAX_LEN + 1];

	(void)arg;
	if (side->heard)
		return SSL_CLIENT_HELLO_SUCCESS;
	side->heard = true;
	side->choice = NULL;
	if (choice != NULL)
		use_settings(ssl, side, choice->choose(choice, read_sni(ssl, name) ? name : NULL));
	if (side->tls->reject_handshake) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* So that the name is acknowledged and the session remembers it. */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Who offers protocols means to speak one of them: another server's client has come here by trickery. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned len, void *arg)
{
	const char *alpn = side_of(ssl)->alpn;
	size_t alpn_len;

	(void)arg;
	if (alpn == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	alpn_len = strlen(alpn);
	for (unsigned at = 0; at < len && in[at] < len - at; at += 1u + in[at])
		if (in[at] == alpn_len && memcmp(in + at + 1, alpn, alpn_len) == 0) {
			*out = in + at + 1;
			*out_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- our certificates ---- */

/* A new session has got the life that the server has for it that was there first. */
static void
set_life(SSL *ssl, const struct tlsbase *base)
{
	SSL_SESSION *session = SSL_get_session(ssl);

	if (session != NULL && SSL_is_server(ssl))
		SSL_SESSION_set_timeout(session, SSL_CTX_get_timeout(base->ssl));
}

/* The server's comes when it is settled that this is no session of before. */
static int
on_certificate(SSL *ssl, void *arg)
{
	const struct tlsctx *context = context_of(ssl);

	(void)arg;
	set_life(ssl, context->base);
	for (size_t i = 0; i < context->cert_count; i++) {
		if (tlscert_attach(context->certs[i], ssl) == -1)
			return 0;
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
		if (side_of(ssl)->tls->certificate_compression)
			SSL_compress_certs(ssl, 0);
#endif
	}
	return 1;
}

static int
on_status(SSL *ssl, void *arg)
{
	const struct tlsstaple *staple = context_of(ssl)->staple;

	(void)arg;
	return staple != NULL && tlsstaple_attach(staple, ssl, SSL_get_certificate(ssl), time(NULL)) ?
	    SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* ---- sessions ---- */

static int
on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	enum tlsticket_found found = tlsticket_prepare(context_of(ssl)->base->tickets, name, iv, cipher, mac, seal);

	/* In TLS 1.3 a ticket is good for one use (RFC 8446, appendix C.4): there is always another. */
	if (!seal && found == TLSTICKET_CURRENT && SSL_version(ssl) == TLS1_3_VERSION)
		return 2;
	return (int)found;
}

/* OpenSSL offers every session; those that a ticket holds whole need no place here. */
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tlskept *cache = context_of(ssl)->base->cache;
	unsigned char bytes[TLSCACHE_MAX], *at = bytes;
	const unsigned char *id;
	unsigned id_len;
	int len;

	if (cache == NULL || (SSL_version(ssl) == TLS1_3_VERSION && (SSL_get_options(ssl) & SSL_OP_NO_TICKET) == 0))
		return 0;
	len = i2d_SSL_SESSION(session, NULL);
	if (len <= 0 || len > TLSCACHE_MAX)
		return 0;
	i2d_SSL_SESSION(session, &at);
	id = SSL_SESSION_get_id(session, &id_len);
	tlscache_put(cache->thing, own_slot, id, id_len, bytes, (size_t)len,
	    SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session));
	mem_wipe(bytes, (size_t)len);
	return 0;
}

static SSL_SESSION *
on_get_session(SSL *ssl, const unsigned char *id, int id_len, int *copy)
{
	const struct tlskept *cache = context_of(ssl)->base->cache;
	unsigned char bytes[TLSCACHE_MAX];
	const unsigned char *at = bytes;
	SSL_SESSION *session = NULL;
	size_t len;

	*copy = 0;
	if (cache == NULL)
		return NULL;
	len = tlscache_get(cache->thing, own_slot, id, (size_t)id_len, bytes, time(NULL));
	if (len > 0)
		session = d2i_SSL_SESSION(NULL, &at, (long)len);
	mem_wipe(bytes, len);
	ERR_clear_error();      /* what is no session is none, and nobody's fault */
	return session;
}

static void
on_remove_session(SSL_CTX *ssl, SSL_SESSION *session)
{
	const struct tlsbase *base = SSL_CTX_get_ex_data(ssl, base_index);
	const unsigned char *id;
	unsigned id_len;

	/* In the master, contexts end without a place on the board; nothing is theirs to forget. */
	if (base == NULL || base->cache == NULL || own_slot == BOARD_NO_SLOT)
		return;
	id = SSL_SESSION_get_id(session, &id_len);
	tlscache_forget(base->cache->thing, own_slot, id, id_len);
}

/* ---- the client's certificate ---- */

/* What a client without one of our CAs cannot help. */
static bool
is_excusable(long error)
{
	return error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	    error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	    error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

/* Does `error` say more than `fault`? Of a CA that nobody knows there are no CRLs either. */
static bool
is_worse(long error, long fault)
{
	return fault == X509_V_OK ||
	    (is_excusable(fault) && !is_excusable(error) && error != X509_V_ERR_UNABLE_TO_GET_CRL);
}

/*
 * The handshake goes on whatever is wrong, since the client is to be told in words of its
 * protocol. OpenSSL would remember the last fault; here one that may be excused never hides
 * one that may not.
 */
static int
on_verify(int good, X509_STORE_CTX *store)
{
	struct side *side = side_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
	int error = X509_STORE_CTX_get_error(store);

	if (!good && is_worse(error, side->fault))
		side->fault = error;
	if (side->fault != X509_V_OK)
		X509_STORE_CTX_set_error(store, side->fault);
	return 1;
}

/* A session may outlive its certificate: with each use its ticket is renewed, and nobody verifies again. */
static long
fault_of(const SSL *ssl, const X509 *certificate)
{
	long error = SSL_get_verify_result(ssl);

	if (SSL_session_reused(ssl) && (error == X509_V_OK || is_excusable(error)) &&
	    X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
		return X509_V_ERR_CERT_HAS_EXPIRED;
	return error;
}

enum tls_verdict
tlsctx_verdict(const SSL *ssl, long *errorp)
{
	enum ssl_verify mode = side_of(ssl)->tls->verify;
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	long error;

	*errorp = X509_V_OK;
	if (mode == SSL_VERIFY_OFF)
		return TLS_WELCOME;
	if (certificate == NULL)
		return mode == SSL_VERIFY_ON ? TLS_NO_CERTIFICATE : TLS_WELCOME;
	*errorp = error = fault_of(ssl, certificate);
	if (error == X509_V_OK || (mode == SSL_VERIFY_OPTIONAL_NO_CA && is_excusable(error)))
		return TLS_WELCOME;
	return TLS_BAD_CERTIFICATE;
}

const char *
tlsctx_verify_text(const SSL *ssl, char *room, size_t size)
{
	long error;

	if (side_of(ssl)->tls->verify == SSL_VERIFY_OFF)
		return NULL;
	if (SSL_get0_peer_certificate(ssl) == NULL)
		return "NONE";
	tlsctx_verdict(ssl, &error);
	if (error == X509_V_OK)
		return "SUCCESS";
	snprintf(room, size, "FAILED:%s", X509_verify_cert_error_string(error));
	return room;
}

/* ---- making connections ---- */

static void
free_side(void *parent, void *side, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	mem_free(side);
}

void
tlsctx_init(void)
{
	if (side_index != -1)
		return;
	/* Everything that is loaded on first use is loaded now: workers open no path. */
	MUST(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
	    OPENSSL_INIT_LOAD_CONFIG, NULL) == 1);
	side_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_side);
	base_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	MUST(side_index != -1 && base_index != -1);
}

void
tlsctx_install_server(struct tlsbase *base)
{
	SSL_CTX *ssl = base->ssl;

	SSL_CTX_set_ex_data(ssl, base_index, base);
	SSL_CTX_set_client_hello_cb(ssl, on_hello, NULL);
	SSL_CTX_set_tlsext_servername_callback(ssl, on_name);
	SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
	SSL_CTX_set_cert_cb(ssl, on_certificate, NULL);
	SSL_CTX_set_tlsext_status_cb(ssl, on_status);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	/* OpenSSL asks the context that was there first, whichever was chosen: that one may have a cache. */
	SSL_CTX_sess_set_new_cb(ssl, on_new_session);
	SSL_CTX_sess_set_get_cb(ssl, on_get_session);
	if (base->cache != NULL)
		SSL_CTX_sess_set_remove_cb(ssl, on_remove_session);
}

void
tlsctx_install_peer(struct tlsbase *base)
{
	SSL_CTX_set_cert_cb(base->ssl, on_certificate, NULL);
}

static SSL *
make(const struct conf_tls *tls, struct tls_choice *choice, const char *alpn)
{
	struct side *side = mem_alloc(sizeof(*side));
	SSL *ssl = SSL_new(tls->context->base->ssl);

	*side = (struct side){ .tls = tls, .choice = choice, .alpn = alpn };
	if (ssl == NULL || SSL_set_ex_data(ssl, side_index, side) != 1)
		must_die("no memory for a TLS connection");
	return ssl;
}

SSL *
tlsctx_new_server(const struct conf_tls *tls, struct tls_choice *choice, const char *alpn)
{
	SSL *ssl = make(tls, choice, alpn);

	mark_sessions(ssl, side_of(ssl));
	SSL_set_accept_state(ssl);
	return ssl;
}

/* SNI names hosts, never addresses (RFC 6066 section 3). */
static void
set_name(SSL *ssl, const struct conf_tls *tls, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return;
	/* To OpenSSL an empty name means that any will do, and one with a dot in front all below it. */
	if (*name == '\0' || *name == '.')
		name = NOBODY;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(param, name, 0) != 1)
		must_die("no memory for a TLS connection");
	if (tls->send_sni)
		SSL_set_tlsext_host_name(ssl, name);
	ERR_clear_error();
}

static void
offer(SSL *ssl, const char *alpn)
{
	unsigned char list[256];
	size_t len = strlen(alpn);

	MUST(len > 0 && len < sizeof(list));
	list[0] = (unsigned char)len;
	memcpy(list + 1, alpn, len);
	SSL_set_alpn_protos(ssl, list, (unsigned)len + 1);
}

SSL *
tlsctx_new_client(const struct conf_tls *tls, const char *host, const char *alpn)
{
	SSL *ssl = make(tls, NULL, alpn);
	char *name = mem_strdup(host != NULL ? host : tls->name != NULL ? tls->name : "localhost");
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		name[len - 1] = '\0';
	set_name(ssl, tls, name);
	if (alpn != NULL)
		offer(ssl, alpn);
	SSL_set_connect_state(ssl);
	mem_free(name);
	return ssl;
}

const struct conf_tls *
tlsctx_settings(const SSL *ssl)
{
	return side_of(ssl)->tls;
}

void
tlsctx_use_slot(uint32_t slot)
{
	own_slot = slot;
}

SSL_CTX *
tlsctx_ssl(const struct tlsctx *context)
{
	return context->base->ssl;
}

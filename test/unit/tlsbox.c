#include "test/unit/tlsbox.h"

#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/mem.h"
#include "common/tlsctx.h"

#define CONTEXTS 16

struct tlsctx {
	SSL_CTX *ssl;
};

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static struct identity authority, stranger, server, client;
static struct tlsctx contexts[CONTEXTS];
static size_t context_count;
static int tls_version, serial;

static void
extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(extension);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

/* `issuer` NULL: it signs itself. */
static struct identity
issue(const char *name, const struct identity *issuer, const char *hosts)
{
	struct identity made = { .key = EVP_EC_gen("P-256"), .certificate = X509_new() };
	X509_NAME *subject = X509_NAME_new();

	X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Post", -1, -1, 0);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(made.certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 0xab00 + ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(made.certificate), 86400);
	X509_set_subject_name(made.certificate, subject);
	X509_set_issuer_name(made.certificate,
	    issuer == NULL ? subject : X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(made.certificate, made.key);
	extend(made.certificate, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (hosts != NULL)
		extend(made.certificate, NID_subject_alt_name, hosts);
	ck_assert_int_gt(X509_sign(made.certificate, issuer == NULL ? made.key : issuer->key, EVP_sha256()), 0);
	X509_NAME_free(subject);
	return made;
}

static void
forget(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

void
tlsbox_make(int version)
{
	tls_version = version;
	serial = 0;
	authority = issue("Authority", NULL, NULL);
	stranger = issue("Stranger", NULL, NULL);
	server = issue("mail.example.org", &authority, "DNS:mail.example.org,IP:127.0.0.1");
	client = issue("Joe Doe, \"client\"", &authority, NULL);
}

void
tlsbox_free(void)
{
	forget(&authority);
	forget(&stranger);
	forget(&server);
	forget(&client);
	while (context_count > 0)
		SSL_CTX_free(contexts[--context_count].ssl);
}

static struct tlsctx *
context_new(const SSL_METHOD *method)
{
	struct tlsctx *context = &contexts[context_count++];

	ck_assert_uint_lt(context_count, CONTEXTS);
	context->ssl = SSL_CTX_new(method);
	ck_assert_ptr_nonnull(context->ssl);
	SSL_CTX_set_min_proto_version(context->ssl, tls_version);
	SSL_CTX_set_max_proto_version(context->ssl, tls_version);
	SSL_CTX_set_num_tickets(context->ssl, 1);
	SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)"box", 3);
	return context;
}

static void
carry(struct tlsctx *context, const struct identity *identity)
{
	ck_assert_int_eq(SSL_CTX_use_certificate(context->ssl, identity->certificate), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(context->ssl, identity->key), 1);
}

static void
trust(struct tlsctx *context, const struct identity *identity)
{
	X509_STORE_add_cert(SSL_CTX_get_cert_store(context->ssl), identity->certificate);
}

static int
let_pass(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

struct conf_tls
tlsbox_server(enum ssl_verify verify)
{
	struct tlsctx *context = context_new(TLS_server_method());

	carry(context, &server);
	trust(context, &authority);
	if (verify != SSL_VERIFY_OFF)
		SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, let_pass);
	return (struct conf_tls){ .context = context, .verify = verify };
}

struct conf_tls
tlsbox_client(bool trusting, bool with_certificate)
{
	struct tlsctx *context = context_new(TLS_client_method());

	trust(context, trusting ? &authority : &stranger);
	if (with_certificate)
		carry(context, &client);
	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
	return (struct conf_tls){
		.context = context, .verify = SSL_VERIFY_ON, .send_sni = true, .session_reuse = true,
	};
}

/* ---- in the place of tlsctx ---- */

static struct tls_choice *choosing;
static const struct conf_tls *chosen;

SSL_CTX *
tlsctx_ssl(const struct tlsctx *context)
{
	return context->ssl;
}

static int
on_name(SSL *ssl, int *alert, void *ctx)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	(void)ctx;
	if (choosing != NULL)
		chosen = choosing->choose(choosing, name);
	choosing = NULL;
	return SSL_TLSEXT_ERR_OK;
}

SSL *
tlsctx_new_server(const struct conf_tls *tls, struct tls_choice *choice, const char *alpn)
{
	SSL *ssl = SSL_new(tls->context->ssl);

	(void)alpn;
	SSL_CTX_set_tlsext_servername_callback(tls->context->ssl, on_name);
	choosing = choice;
	chosen = tls;
	SSL_set_accept_state(ssl);
	return ssl;
}

SSL *
tlsctx_new_client(const struct conf_tls *tls, const char *host, const char *alpn)
{
	SSL *ssl = SSL_new(tls->context->ssl);

	(void)alpn;
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1) {
		SSL_set_tlsext_host_name(ssl, host);
		SSL_set1_host(ssl, host);
	}
	ERR_clear_error();
	SSL_set_connect_state(ssl);
	return ssl;
}

enum tls_verdict
tlsctx_verdict(const SSL *ssl, long *errorp)
{
	*errorp = SSL_get0_peer_certificate(ssl) != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
	return *errorp == X509_V_OK ? TLS_WELCOME : TLS_BAD_CERTIFICATE;
}

const char *
tlsctx_verify_text(const SSL *ssl, char *room, size_t size)
{
	long error;

	if (chosen->verify == SSL_VERIFY_OFF)
		return NULL;
	if (SSL_get0_peer_certificate(ssl) == NULL)
		return "NONE";
	if (tlsctx_verdict(ssl, &error) == TLS_WELCOME)
		return "SUCCESS";
	snprintf(room, size, "FAILED:%s", X509_verify_cert_error_string(error));
	return room;
}

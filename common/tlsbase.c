#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/tlscache.h"
#include "common/tlsctx_parts.h"
#include "common/tlserror.h"
#include "common/tlsfile.h"
#include "common/tlsticket.h"
#include "common/tlstrust.h"

static const struct {
	enum ssl_protocol bit;
	int version;
	uint64_t off;
} versions[] = {
	{ SSL_PROTOCOL_TLSV1,   TLS1_VERSION,   SSL_OP_NO_TLSv1 },
	{ SSL_PROTOCOL_TLSV1_1, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ SSL_PROTOCOL_TLSV1_2, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ SSL_PROTOCOL_TLSV1_3, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

/* The range, and what is left out of it. SSLv2 and SSLv3 are words that a library of today knows nothing of. */
static int
set_protocols(SSL_CTX *ssl, unsigned bits, char *why, size_t size)
{
	int lowest = 0, highest = 0;

	for (size_t i = 0; i < VERSIONS; i++) {
		if ((bits & versions[i].bit) == 0) {
			SSL_CTX_set_options(ssl, versions[i].off);
			continue;
		}
		lowest = lowest == 0 ? versions[i].version : lowest;
		highest = versions[i].version;
	}
	if (lowest == 0) {
		snprintf(why, size, "none of the protocols exists any more, TLSv1.2 and TLSv1.3 do");
		return -1;
	}
	if (SSL_CTX_set_min_proto_version(ssl, lowest) == 1 && SSL_CTX_set_max_proto_version(ssl, highest) == 1)
		return 0;
	tlserror_write(why, size, "SSL_CTX_set_min_proto_version() failed");
	return -1;
}

static int
set_ciphers(SSL_CTX *ssl, const struct conf_tls *tls, char *why, size_t size)
{
	if (tls->ciphers == NULL || SSL_CTX_set_cipher_list(ssl, tls->ciphers) == 1)
		return 0;
	tlserror_write(why, size, "SSL_CTX_set_cipher_list(\"%s\") failed", tls->ciphers);
	return -1;
}

static int
set_curves(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size)
{
	if (tls->curves == NULL || strcmp(tls->curves, "auto") == 0)
		return 0;
	base->curves = mem_strdup(tls->curves);
	if (SSL_CTX_set1_groups_list(base->ssl, base->curves) == 1)
		return 0;
	tlserror_write(why, size, "SSL_CTX_set1_curves_list(\"%s\") failed", tls->curves);
	return -1;
}

static int
set_dhparam(SSL_CTX *ssl, const char *path, char *why, size_t size)
{
	const char *failed = NULL;
	EVP_PKEY *params = NULL;
	BIO *bio = NULL;

	if (path == NULL)
		return 0;
	if ((bio = tlsfile_open(path)) == NULL)
		failed = "BIO_new_file";
	else if ((params = PEM_read_bio_Parameters(bio, NULL)) == NULL)
		failed = "PEM_read_bio_DHparams";
	else if (SSL_CTX_set0_tmp_dh_pkey(ssl, params) != 1)
		failed = "SSL_CTX_set_tmp_dh";
	else
		params = NULL;
	EVP_PKEY_free(params);
	BIO_free(bio);
	if (failed == NULL)
		return 0;
	tlserror_write(why, size, "%s(\"%s\") failed", failed, path);
	return -1;
}

static int
obey_commands(SSL_CTX *ssl, struct conf_pair *const *commands, char *why, size_t size)
{
	SSL_CONF_CTX *context;
	int result = 0;

	if (commands == NULL || *commands == NULL)
		return 0;
	context = SSL_CONF_CTX_new();
	SSL_CONF_CTX_set_flags(context, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER | SSL_CONF_FLAG_CLIENT |
	    SSL_CONF_FLAG_CERTIFICATE | SSL_CONF_FLAG_SHOW_ERRORS);
	SSL_CONF_CTX_set_ssl_ctx(context, ssl);
	for (; *commands != NULL && result == 0; commands++) {
		if (SSL_CONF_cmd(context, (*commands)->name, (*commands)->value) > 0)
			continue;
		tlserror_write(why, size, "SSL_CONF_cmd(\"%s\", \"%s\") failed", (*commands)->name, (*commands)->value);
		result = -1;
	}
	if (result == 0 && SSL_CONF_CTX_finish(context) != 1) {
		tlserror_write(why, size, "SSL_CONF_finish() failed");
		result = -1;
	}
	SSL_CONF_CTX_free(context);
	return result;
}

/* The curves that commands have set last: OpenSSL does not tell which a context has. */
static void
note_curves(struct tlsbase *base, struct conf_pair *const *commands)
{
	for (; commands != NULL && *commands != NULL; commands++) {
		if (strcasecmp((*commands)->name, "Groups") != 0 && strcasecmp((*commands)->name, "Curves") != 0)
			continue;
		mem_free(base->curves);
		base->curves = mem_strdup((*commands)->value);
	}
}

/* "TLS_AES_256_GCM_SHA384:...": what a connection needs that comes to this context by SNI. */
static char *
list_suites(SSL_CTX *ssl)
{
	STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ssl);
	char *list = mem_strdup("");

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(all, i);
		char *longer;

		if (strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") != 0)
			continue;
		longer = mem_printf("%s%s%s", list, *list == '\0' ? "" : ":", SSL_CIPHER_get_name(cipher));
		mem_free(list);
		list = longer;
	}
	return list;
}

static int
make(struct tlsbase *base, const SSL_METHOD *method, char *why, size_t size)
{
	ERR_clear_error();
	base->ssl = SSL_CTX_new(method);
	if (base->ssl == NULL) {
		tlserror_write(why, size, "SSL_CTX_new() failed");
		return -1;
	}
	/* No chain is ever made up from the CAs: that would cost each handshake, and tell what is trusted. */
	SSL_CTX_set_mode(base->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_options(base->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	return 0;
}

static void
use_trust(struct tlsbase *base, const struct conf_tls *tls)
{
	const struct tlstrust *trust = base->trust == NULL ? NULL : base->trust->thing;

	SSL_CTX_set_verify_depth(base->ssl, (int)tls->verify_depth);
	if (trust == NULL)
		return;
	SSL_CTX_set1_cert_store(base->ssl, trust->store);
	if (trust->names != NULL)
		SSL_CTX_set_client_CA_list(base->ssl, SSL_dup_CA_list(trust->names));
}

/* What both sides have; the operator's commands have the last word. */
static int
finish(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size)
{
	if (set_protocols(base->ssl, tls->protocols, why, size) == -1 || set_ciphers(base->ssl, tls, why, size) == -1 ||
	    set_curves(base, tls, why, size) == -1 || obey_commands(base->ssl, tls->commands, why, size) == -1)
		return -1;
	note_curves(base, tls->commands);
	base->suites = list_suites(base->ssl);
	return 0;
}

/* ---- towards clients ---- */

static void
set_cache(struct tlsbase *base, const struct conf_tls *tls)
{
	static const long modes[] = {
		[SSL_CACHE_OFF] = SSL_SESS_CACHE_OFF,
		/* Some clients want to hear that a session could be resumed: they are told so. */
		[SSL_CACHE_NONE] =
		    SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR | SSL_SESS_CACHE_NO_INTERNAL_STORE,
		[SSL_CACHE_BUILTIN] = SSL_SESS_CACHE_SERVER,
		[SSL_CACHE_SHARED] = SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR | SSL_SESS_CACHE_NO_INTERNAL,
	};

	SSL_CTX_set_timeout(base->ssl, (long)tls->session_timeout_s);
	SSL_CTX_set_session_cache_mode(base->ssl, modes[tls->cache]);
	if (tls->cache == SSL_CACHE_NONE)
		SSL_CTX_sess_set_cache_size(base->ssl, 1);
	else if (tls->cache == SSL_CACHE_BUILTIN && tls->cache_builtin > 0)
		SSL_CTX_sess_set_cache_size(base->ssl, (long)tls->cache_builtin);
}

/* TLS 1.3 resumes by tickets alone; without ours they are names of sessions in a cache, if there is one. */
static void
set_tickets(SSL_CTX *ssl, const struct conf_tls *tls)
{
	bool cached = tls->cache == SSL_CACHE_BUILTIN || tls->cache == SSL_CACHE_SHARED;

	SSL_CTX_set_num_tickets(ssl, tls->tickets || cached ? 1 : 0);
	if (!tls->tickets)
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
}

static int
set_compression(SSL_CTX *ssl, bool wanted, char *why, size_t size)
{
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
	(void)why;
	(void)size;
	if (!wanted)
		SSL_CTX_set_options(ssl, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
	return 0;
#else
	(void)ssl;
	if (wanted)
		snprintf(why, size, "\"ssl_certificate_compression\" is not supported by this OpenSSL");
	return wanted ? -1 : 0;
#endif
}

int
tlsbase_make_server(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size)
{
	if (make(base, TLS_server_method(), why, size) == -1 || set_dhparam(base->ssl, tls->dhparam, why, size) == -1 ||
	    set_compression(base->ssl, tls->certificate_compression, why, size) == -1)
		return -1;
	if (tls->prefer_server_ciphers)
		SSL_CTX_set_options(base->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	use_trust(base, tls);
	set_cache(base, tls);
	set_tickets(base->ssl, tls);
	tlsctx_install_server(base);
	if (tls->verify == SSL_VERIFY_OFF)
		SSL_CTX_set_verify(base->ssl, SSL_VERIFY_NONE, NULL);
	return finish(base, tls, why, size);
}

/* ---- towards peers ---- */

int
tlsbase_make_peer(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size)
{
	if (make(base, TLS_client_method(), why, size) == -1)
		return -1;
	use_trust(base, tls);
	SSL_CTX_set_verify(base->ssl, tls->verify == SSL_VERIFY_OFF ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	/* Who keeps sessions is whoever knows the peers. */
	SSL_CTX_set_session_cache_mode(base->ssl, tls->session_reuse ?
	    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR : SSL_SESS_CACHE_OFF);
	tlsctx_install_peer(base);
	return finish(base, tls, why, size);
}

void
tlsbase_free(struct tlsbase **basep)
{
	struct tlsbase *base = *basep;

	if (base == NULL)
		return;
	SSL_CTX_free(base->ssl);
	tlskept_drop(&base->trust);
	tlskept_drop(&base->cache);
	tlsticket_free(&base->own_tickets);
	mem_free(base->curves);
	mem_free(base->suites);
	mem_free(base);
	*basep = NULL;
}

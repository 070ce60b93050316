#include "worker/net/tlsfacts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "worker/net/tlsio.h"
#include "worker/proto/proto.h"

#define ALPN_MAX 32             /* ours are short; another could not have been agreed on */
#define COMMON_NAME_MAX 256     /* 64 characters (RFC 5280 appendix A.1, ub-common-name) as UTF-8 */

struct tlsfacts {
	char verify[128], alpn[ALPN_MAX + 1];
	/* owned; NULL: no certificate, or not asked for */
	char *subject, *issuer, *common_name, *serial, *sha1, *sha256, *pem;
};

/* The text that was written to `out`, which is freed. */
static char *
text_of(BIO *out)
{
	char *bytes;
	long len = BIO_get_mem_data(out, &bytes);
	char *text = mem_strndup(len > 0 ? bytes : "", len > 0 ? (size_t)len : 0);

	BIO_free(out);
	return text;
}

static char *
name_text(const X509_NAME *name)
{
	BIO *out = BIO_new(BIO_s_mem());

	X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
	return text_of(out);
}

static bool
is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return utf8_is_valid(text, len);
}

char *
tlsfacts_common_name(const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1), len;
	unsigned char *bytes = NULL;
	char *text = NULL;

	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return NULL;
	len = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len > 0 && len <= COMMON_NAME_MAX && is_plain((char *)bytes, (size_t)len))
		text = mem_strndup((char *)bytes, (size_t)len);
	OPENSSL_free(bytes);
	return text;
}

static char *
serial_text(const X509 *certificate)
{
	BIO *out = BIO_new(BIO_s_mem());

	i2a_ASN1_INTEGER(out, X509_get0_serialNumber(certificate));
	return text_of(out);
}

static char *
pem_text(X509 *certificate)
{
	BIO *out = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(out, certificate);
	return text_of(out);
}

static char *
fingerprint(const X509 *certificate, const EVP_MD *md)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char *text;

	if (X509_digest(certificate, md, digest, &len) != 1)
		return mem_strdup("");
	text = mem_alloc(2 * len + 1);
	for (unsigned i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text;
}

static void
read_certificate(struct tlsfacts *kept, const X509 *certificate)
{
	kept->subject = name_text(X509_get_subject_name(certificate));
	kept->issuer = name_text(X509_get_issuer_name(certificate));
	kept->common_name = tlsfacts_common_name(X509_get_subject_name(certificate));
	kept->serial = serial_text(certificate);
	kept->sha1 = fingerprint(certificate, EVP_sha1());
	kept->sha256 = fingerprint(certificate, EVP_sha256());
}

static const char *
alpn_text(struct tlsfacts *kept, const SSL *ssl)
{
	const unsigned char *bytes;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &bytes, &len);
	if (len == 0 || len > ALPN_MAX)
		return NULL;
	memcpy(kept->alpn, bytes, len);
	kept->alpn[len] = '\0';
	return kept->alpn;
}

void
tlsfacts_fill(struct tlsio *t, struct tls_facts *facts, bool pem)
{
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);
	struct tlsfacts *kept = t->facts;

	if (kept == NULL) {
		kept = t->facts = mem_alloc(sizeof(*kept));
		if (certificate != NULL)
			read_certificate(kept, certificate);
	}
	if (pem && certificate != NULL && kept->pem == NULL)
		kept->pem = pem_text(certificate);
	*facts = (struct tls_facts){
		.protocol = SSL_get_version(t->ssl),
		.cipher = SSL_get_cipher_name(t->ssl),
		.resumed = SSL_session_reused(t->ssl) == 1,
		.sni = t->is_client ? NULL : t->name,
		.alpn = alpn_text(kept, t->ssl),
		.verify = tlsctx_verify_text(t->ssl, kept->verify, sizeof(kept->verify)),
		.subject = kept->subject,
		.issuer = kept->issuer,
		.common_name = kept->common_name,
		.serial = kept->serial,
		.fingerprint = kept->sha1,
		.fingerprint_sha256 = kept->sha256,
		.certificate = pem ? kept->pem : NULL,
	};
	ERR_clear_error();
}

void
tlsfacts_free(struct tlsfacts **factsp)
{
	struct tlsfacts *kept = *factsp;

	if (kept == NULL)
		return;
	mem_free(kept->subject);
	mem_free(kept->issuer);
	mem_free(kept->common_name);
	mem_free(kept->serial);
	mem_free(kept->sha1);
	mem_free(kept->sha256);
	mem_free(kept->pem);
	mem_free(kept);
	*factsp = NULL;
}

const char *
tlsfacts_verify_error(const struct tlsio *t)
{
	static char text[128];
	long error = X509_V_OK;

	if (t->is_client)
		error = SSL_get_verify_result(t->ssl);
	else if (tlsctx_verdict(t->ssl, &error) != TLS_BAD_CERTIFICATE)
		return NULL;
	if (error == X509_V_OK)
		return NULL;
	snprintf(text, sizeof(text), "(%ld:%s)", error, X509_verify_cert_error_string(error));
	return text;
}

/* The first of libssl's errors in the queue, which says more than those of the libraries below it; else the first. */
static unsigned long
take_error(void)
{
	unsigned long first = ERR_get_error(), code = first;

	while (code != 0 && ERR_GET_LIB(code) != ERR_LIB_SSL)
		code = ERR_get_error();
	ERR_clear_error();
	return code != 0 ? code : first;
}

char *
tlsfacts_error(SSL *ssl, int error)
{
	unsigned long code = take_error();
	const char *verify = "", *before = "";
	char text[256];

	if (error == ECONNABORTED)
		return mem_strdup("(peer closed connection in SSL handshake)");
	if (error != EPROTO || code == 0)
		return mem_strdup(log_errno(error));
	ERR_error_string_n(code, text, sizeof(text));
	if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && ssl != NULL) {
		before = ": ";
		verify = X509_verify_cert_error_string(SSL_get_verify_result(ssl));
	}
	return mem_printf("(SSL: %s%s%s)", text, before, verify);
}

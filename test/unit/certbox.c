#include "test/unit/certbox.h"

#include <dirent.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/unit.h"

#define HOUR 3600

static char folder[] = "/tmp/postern-tls-XXXXXX";
static char where[sizeof(folder)];
static long serial = 1000;

const char *
certbox_path(const char *file)
{
	static char paths[32][512];
	static unsigned next;
	char *path = paths[next++ % 32];

	snprintf(path, sizeof(paths[0]), "%s/%s", where, file);
	return path;
}

/* NAME and an ending. */
static const char *
file_of(const char *name, const char *ending)
{
	char file[128];

	snprintf(file, sizeof(file), "%s%s", name, ending);
	return certbox_path(file);
}

static FILE *
open_file(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	ck_assert_msg(file != NULL, "%s", path);
	return file;
}

void
certbox_write(const char *file, const void *bytes, size_t len)
{
	FILE *out = open_file(certbox_path(file), "w");

	ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	fclose(out);
}

static X509 *
read_cert(const char *name)
{
	FILE *in = open_file(file_of(name, ".pem"), "r");
	X509 *cert = PEM_read_X509(in, NULL, NULL, NULL);

	fclose(in);
	ck_assert_ptr_nonnull(cert);
	return cert;
}

static EVP_PKEY *
read_key(const char *name)
{
	FILE *in = open_file(file_of(name, ".key"), "r");
	EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);

	fclose(in);
	ck_assert_ptr_nonnull(key);
	return key;
}

static void
write_pair(const char *name, X509 *cert, EVP_PKEY *key)
{
	FILE *out = open_file(file_of(name, ".pem"), "w");

	ck_assert_int_eq(PEM_write_X509(out, cert), 1);
	fclose(out);
	out = open_file(file_of(name, ".key"), "w");
	ck_assert_int_eq(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(out);
	ck_assert_int_eq(chmod(file_of(name, ".key"), 0600), 0);
}

static void
extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ck_assert_ptr_nonnull(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

static void
name_subject(X509 *cert, const struct certbox_request *r, X509 *issuer)
{
	X509_NAME *name = X509_get_subject_name(cert);
	char names[256];

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)r->name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	snprintf(names, sizeof(names), r->ip != NULL ? "DNS:%s,IP:%s" : "DNS:%s", r->name, r->ip);
	extend(cert, issuer, NID_basic_constraints, r->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	extend(cert, issuer, NID_subject_key_identifier, "hash");
	if (!r->is_ca)
		extend(cert, issuer, NID_subject_alt_name, names);
}

void
certbox_issue(const struct certbox_request *r)
{
	EVP_PKEY *key = r->rsa ? EVP_RSA_gen(r->bits == 0 ? 2048 : r->bits) : EVP_EC_gen("P-256");
	EVP_PKEY *signer = r->ca == NULL ? key : read_key(r->ca);
	X509 *cert = X509_new(), *issuer = r->ca == NULL ? cert : read_cert(r->ca);

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), r->from);
	X509_gmtime_adj(X509_getm_notAfter(cert), r->until == 0 ? HOUR : r->until);
	X509_set_pubkey(cert, key);
	name_subject(cert, r, issuer);
	ck_assert_int_gt(X509_sign(cert, signer, EVP_sha256()), 0);
	write_pair(r->name, cert, key);
	if (r->ca != NULL) {
		X509_free(issuer);
		EVP_PKEY_free(signer);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

void
certbox_revoke(const char *ca, const char *file, const char *revoked)
{
	X509 *issuer = read_cert(ca), *cert = revoked == NULL ? NULL : read_cert(revoked);
	EVP_PKEY *key = read_key(ca);
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -HOUR), *next = X509_gmtime_adj(NULL, HOUR);
	FILE *out = open_file(certbox_path(file), "w");

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	if (cert != NULL) {
		X509_REVOKED *entry = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert));
		X509_REVOKED_set_revocationDate(entry, now);
		X509_CRL_add0_revoked(crl, entry);
	}
	ck_assert_int_gt(X509_CRL_sign(crl, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509_CRL(out, crl), 1);
	fclose(out);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(key);
}

void
certbox_staple(const char *ca, const char *file, const char *name, long until)
{
	X509 *issuer = read_cert(ca), *cert = read_cert(name);
	EVP_PKEY *key = read_key(ca);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -HOUR), *next = X509_gmtime_adj(NULL, until);
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer);
	BIO *out = BIO_new_file(certbox_path(file), "wb");
	OCSP_RESPONSE *response;

	ck_assert_ptr_nonnull(OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, next));
	ck_assert_int_eq(OCSP_basic_sign(basic, issuer, key, EVP_sha256(), NULL, 0), 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	ck_assert_int_eq(i2d_OCSP_RESPONSE_bio(out, response), 1);
	BIO_free(out);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	EVP_PKEY_free(key);
	X509_free(cert);
	X509_free(issuer);
}

void
certbox_encrypt(const char *name, const char *file, const char *password)
{
	EVP_PKEY *key = read_key(name);
	FILE *out = open_file(certbox_path(file), "w");

	ck_assert_int_eq(PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(), (const unsigned char *)password,
	    (int)strlen(password), NULL, NULL), 1);
	fclose(out);
	EVP_PKEY_free(key);
}

void
certbox_open(void)
{
	strcpy(where, folder);
	ck_assert_ptr_nonnull(mkdtemp(where));
	certbox_issue(&(struct certbox_request){ .name = "ca", .is_ca = true });
	certbox_issue(&(struct certbox_request){ .name = "server", .ca = "ca", .ip = "192.0.2.1" });
	certbox_issue(&(struct certbox_request){ .name = "rsa", .ca = "ca", .rsa = true });
	certbox_issue(&(struct certbox_request){ .name = "other", .is_ca = true });
	certbox_issue(&(struct certbox_request){ .name = "stranger", .ca = "other" });
}

void
certbox_close(void)
{
	DIR *dir = opendir(where);

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		if (entry->d_name[0] != '.')
			unlink(certbox_path(entry->d_name));
	closedir(dir);
	rmdir(where);
}

/* ---- two sides ---- */

static void
connect_sides(SSL *client, SSL *server)
{
	BIO *left, *right;

	if (SSL_get_rbio(client) != NULL)
		return;
	ck_assert_int_eq(BIO_new_bio_pair(&left, 1 << 16, &right, 1 << 16), 1);
	SSL_set_bio(client, left, left);
	SSL_set_bio(server, right, right);
}

static bool
waits(const SSL *ssl, int result)
{
	int error = SSL_get_error(ssl, result);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool
certbox_shake(SSL *client, SSL *server)
{
	int left = 0, right = 0;

	connect_sides(client, server);
	for (unsigned turn = 0; turn < 20 && (left != 1 || right != 1); turn++) {
		left = SSL_do_handshake(client);
		right = left == 1 || waits(client, left) ? SSL_do_handshake(server) : right;
		if (right != 1 && !waits(server, right)) {
			SSL_do_handshake(client);       /* it hears why */
			return false;
		}
		if (left != 1 && !waits(client, left))
			return false;
	}
	return left == 1 && right == 1;
}

void
certbox_talk(SSL *client, SSL *server)
{
	char byte;

	ck_assert_int_eq(SSL_write(server, "s", 1), 1);
	ck_assert_int_eq(SSL_read(client, &byte, 1), 1);
	ck_assert_int_eq(byte, 's');
	ck_assert_int_eq(SSL_write(client, "c", 1), 1);
	ck_assert_int_eq(SSL_read(server, &byte, 1), 1);
	ck_assert_int_eq(byte, 'c');
}

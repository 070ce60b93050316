#include "common/tlscert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/tlserror.h"
#include "common/tlsfile.h"

#define STORE "store:"
#define ENGINE "engine:"
#define PASSWORDS_MAX 65536     /* bytes of a file of passwords */

struct tlscert {
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
	char *path;
};

/* What OpenSSL asks for a password gets. */
struct answer {
	const char *password;   /* NULL: we have none */
	bool asked;
	const char *failed;     /* the function that gave no key */
};

/* How a key is read with one answer to the question for its password. */
typedef EVP_PKEY *read_key(const char *key, struct answer *answer);

/* ---- certificates ---- */

/* The end of a file is an error to OpenSSL. */
static bool
ended_well(void)
{
	unsigned long error = ERR_peek_last_error();
	bool well = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

	if (well)
		ERR_clear_error();
	return well;
}

static const char *
read_certificates(struct tlscert *cert, BIO *bio)
{
	X509 *next;

	cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	if (cert->leaf == NULL)
		return "PEM_read_bio_X509_AUX";
	cert->chain = sk_X509_new_null();
	while ((next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(cert->chain, next) == 0)
			return "sk_X509_push";
	return ended_well() ? NULL : "PEM_read_bio_X509";
}

static int
load_certificates(struct tlscert *cert, char *why, size_t size)
{
	BIO *bio = tlsfile_open(cert->path);
	const char *failed = bio == NULL ? "BIO_new_file" : read_certificates(cert, bio);

	BIO_free(bio);
	if (failed == NULL)
		return 0;
	tlserror_write(why, size, "cannot load certificate \"%s\": %s() failed", cert->path, failed);
	return -1;
}

/* ---- keys ---- */

static int
on_password(char *room, int size, int writing, void *ctx)
{
	struct answer *answer = ctx;
	size_t len;

	(void)writing;
	answer->asked = true;
	if (answer->password == NULL || (len = strlen(answer->password)) > (size_t)size)
		return -1;
	memcpy(room, answer->password, len);
	return (int)len;
}

static EVP_PKEY *
read_file(const char *path, struct answer *answer)
{
	BIO *bio = tlsfile_open(path);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, on_password, answer);

	answer->failed = bio == NULL ? "BIO_new_file" : "PEM_read_bio_PrivateKey";
	BIO_free(bio);
	return key;
}

static EVP_PKEY *
find_key(OSSL_STORE_CTX *store)
{
	EVP_PKEY *key = NULL;

	while (key == NULL && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info == NULL && OSSL_STORE_error(store))
			break;
		if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
	}
	return key;
}

static EVP_PKEY *
read_store(const char *name, struct answer *answer)
{
	UI_METHOD *method = UI_UTIL_wrap_read_pem_callback(on_password, 0);
	OSSL_STORE_CTX *store = OSSL_STORE_open(name + strlen(STORE), method, answer, NULL, NULL);
	EVP_PKEY *key = NULL;

	answer->failed = store == NULL ? "OSSL_STORE_open" : "OSSL_STORE_load";
	if (store != NULL) {
		OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
		key = find_key(store);
		OSSL_STORE_close(store);
	}
	UI_destroy_method(method);
	return key;
}

/* One password after another, each cut off in place, until one fits or the key turns out not to want any. */
static EVP_PKEY *
try_passwords(read_key *read, const char *name, char *passwords, struct answer *answer)
{
	EVP_PKEY *key = NULL;

	for (char *line; key == NULL && (line = strsep(&passwords, "\n")) != NULL;) {
		line[strcspn(line, "\r")] = '\0';
		if (*line == '\0')
			continue;
		ERR_clear_error();
		answer->password = line;
		answer->asked = false;
		key = read(name, answer);
		if (!answer->asked)
			break;
	}
	return key;
}

/* The whole file, or NULL with errno. */
static char *
read_passwords(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t len;

	if (file == NULL)
		return NULL;
	text = mem_alloc(PASSWORDS_MAX);
	setvbuf(file, NULL, _IONBF, 0);         /* no copy of it stays in stdio's memory */
	len = fread(text, 1, PASSWORDS_MAX - 1, file);
	if (ferror(file) || len == PASSWORDS_MAX - 1) {
		errno = ferror(file) ? errno : EFBIG;
		mem_wipe(text, PASSWORDS_MAX);
		mem_free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

static EVP_PKEY *
read_with_passwords(read_key *read, const char *name, const char *path, struct answer *answer, char *why, size_t size)
{
	char *passwords = read_passwords(path);
	EVP_PKEY *key;

	if (passwords == NULL) {
		snprintf(why, size, "open() \"%s\" failed (%d: %s)", path, errno, strerror(errno));
		return NULL;
	}
	key = try_passwords(read, name, passwords, answer);
	mem_wipe(passwords, PASSWORDS_MAX);
	mem_free(passwords);
	return key;
}

static int
load_key(struct tlscert *cert, const char *name, const char *passwords, char *why, size_t size)
{
	read_key *read = tlscert_key_is_stored(name) ? read_store : read_file;
	struct answer answer = { 0 };

	if (strncmp(name, ENGINE, strlen(ENGINE)) == 0) {
		snprintf(why, size, "cannot load certificate key \"%s\": OpenSSL 3 has providers in place of engines, "
		    "use \"store:scheme:id\"", name);
		return -1;
	}
	*why = '\0';
	cert->key = read(name, &answer);
	if (cert->key == NULL && answer.asked && passwords != NULL)
		cert->key = read_with_passwords(read, name, passwords, &answer, why, size);
	if (cert->key == NULL && *why == '\0' && answer.asked && passwords == NULL) {
		ERR_clear_error();
		snprintf(why, size,
		    "cannot load certificate key \"%s\": it is encrypted, and there is no password file "
		    "for it",
		    name);
	} else if (cert->key == NULL && *why == '\0') {
		tlserror_write(why, size, "cannot load certificate key \"%s\": %s() failed", name, answer.failed);
	}
	return cert->key == NULL ? -1 : 0;
}

/* ---- the whole ---- */

bool
tlscert_key_is_stored(const char *key)
{
	return strncmp(key, STORE, strlen(STORE)) == 0;
}

static int
check_pair(const struct tlscert *cert, const char *key, char *why, size_t size)
{
	if (X509_check_private_key(cert->leaf, cert->key) == 1)
		return 0;
	tlserror_write(why, size, "SSL_CTX_use_PrivateKey(\"%s\") failed", key);
	return -1;
}

struct tlscert *
tlscert_load(const char *path, const char *key, const char *passwords, char *why, size_t size)
{
	struct tlscert *cert = mem_alloc(sizeof(*cert));

	ERR_clear_error();
	cert->path = mem_strdup(path);
	if (load_certificates(cert, why, size) == -1 || load_key(cert, key, passwords, why, size) == -1 ||
	    check_pair(cert, key, why, size) == -1)
		tlscert_free(&cert);
	ERR_clear_error();
	return cert;
}

void
tlscert_free(struct tlscert **certp)
{
	struct tlscert *cert = *certp;

	if (cert == NULL)
		return;
	X509_free(cert->leaf);
	sk_X509_pop_free(cert->chain, X509_free);
	EVP_PKEY_free(cert->key);
	mem_free(cert->path);
	mem_free(cert);
	*certp = NULL;
}

int
tlscert_attach(const struct tlscert *cert, SSL *ssl)
{
	return SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1) == 1 ? 0 : -1;
}

const char *
tlscert_path(const struct tlscert *cert)
{
	return cert->path;
}

const X509 *
tlscert_leaf(const struct tlscert *cert)
{
	return cert->leaf;
}

time_t
tlscert_expiry(const struct tlscert *cert)
{
	struct tm tm = { 0 };

	/* What has no legible end has ended. */
	return ASN1_TIME_to_tm(X509_get0_notAfter(cert->leaf), &tm) == 1 ? timegm(&tm) : 0;
}

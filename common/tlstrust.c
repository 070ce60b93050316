#include "common/tlstrust.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/tlserror.h"
#include "common/tlsfile.h"

/* What is needed while reading. */
struct reading {
	struct tlstrust *trust;
	EVP_MD_CTX *digest;
	size_t count;           /* of CAs */
	char *why;
	size_t size;
};

static int
fail(struct reading *r, const char *what, const char *path, const char *function)
{
	tlserror_write(r->why, r->size, "cannot load %s \"%s\": %s() failed", what, path, function);
	return -1;
}

static void
digest_certificate(struct reading *r, X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(cert, EVP_sha256(), md, &len) == 1)
		EVP_DigestUpdate(r->digest, md, len);
}

static void
add_name(STACK_OF(X509_NAME) *names, X509 *cert)
{
	X509_NAME *name = X509_get_subject_name(cert);

	for (int i = 0; i < sk_X509_NAME_num(names); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
			return;
	sk_X509_NAME_push(names, X509_NAME_dup(name));
}

static bool
at_end(void)
{
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* Adds the CAs of a file, and returns how many; -1 with the reason. */
static int
read_authorities(struct reading *r, const char *path, STACK_OF(X509_NAME) *names)
{
	BIO *bio = tlsfile_open(path);
	int count = 0;
	X509 *cert;

	if (bio == NULL)
		return fail(r, "certificate", path, "BIO_new_file");
	while ((cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(r->trust->store, cert);
		digest_certificate(r, cert);
		if (names != NULL)
			add_name(names, cert);
		X509_free(cert);
		count++;
	}
	BIO_free(bio);
	if (count == 0 || !at_end())
		return fail(r, "certificate", path, "PEM_read_bio_X509_AUX");
	ERR_clear_error();
	r->count += (size_t)count;
	return count;
}

static void
digest_revocations(struct reading *r, X509_CRL *crl)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_CRL_digest(crl, EVP_sha256(), md, &len) == 1)
		EVP_DigestUpdate(r->digest, md, len);
}

static int
read_revocations(struct reading *r, const char *path)
{
	BIO *bio = tlsfile_open(path);
	size_t count = 0;
	X509_CRL *crl;

	if (bio == NULL)
		return fail(r, "CRL", path, "BIO_new_file");
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_crl(r->trust->store, crl);
		digest_revocations(r, crl);
		X509_CRL_free(crl);
		count++;
	}
	BIO_free(bio);
	if (count == 0 || !at_end())
		return fail(r, "CRL", path, "PEM_read_bio_X509_CRL");
	ERR_clear_error();
	X509_STORE_set_flags(r->trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

/* ---- the system's ---- */

/* "5ed36f99.0": how c_rehash names what is to be trusted. */
static bool
is_hashed(const char *name)
{
	size_t hex = strspn(name, "0123456789abcdef");

	return hex == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
}

static void
read_folder(struct reading *r, const char *path)
{
	DIR *dir = opendir(path);

	if (dir == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char *file;

		if (!is_hashed(entry->d_name))
			continue;
		file = mem_printf("%s/%s", path, entry->d_name);
		/* One that cannot be read is not trusted: that is all. */
		read_authorities(r, file, NULL);
		mem_free(file);
	}
	closedir(dir);
}

/* What the administrator says by OpenSSL's variable, else where it was built to look. */
static const char *
place(const char *variable, const char *built_in)
{
	const char *set = getenv(variable);

	return set != NULL && *set != '\0' ? set : built_in;
}

const char *
tlstrust_system_file(void)
{
	return place(X509_get_default_cert_file_env(), X509_get_default_cert_file());
}

const char *
tlstrust_system_folder(void)
{
	return place(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
}

static int
read_system(struct reading *r)
{
	const char *file = tlstrust_system_file(), *folder = tlstrust_system_folder();

	if (read_authorities(r, file, NULL) == -1)
		read_folder(r, folder);
	ERR_clear_error();
	if (r->count > 0)
		return 0;
	snprintf(r->why, r->size, "no CA certificates in the system's store (\"%s\", \"%s\")", file, folder);
	return -1;
}

/* ---- the whole ---- */

static int
read_files(struct reading *r, const char *shown, const char *hidden)
{
	if (shown != NULL) {
		r->trust->names = sk_X509_NAME_new_null();
		if (read_authorities(r, shown, r->trust->names) == -1)
			return -1;
	}
	return hidden != NULL && read_authorities(r, hidden, NULL) == -1 ? -1 : 0;
}

static struct reading
begin(char *why, size_t size)
{
	struct reading r = {
		.trust = mem_alloc(sizeof(*r.trust)), .digest = EVP_MD_CTX_new(), .why = why, .size = size
	};

	ERR_clear_error();
	r.trust->store = X509_STORE_new();
	EVP_DigestInit_ex(r.digest, EVP_sha256(), NULL);
	return r;
}

static struct tlstrust *
end(struct reading *r, const char *crl, int result)
{
	if (result == 0 && crl != NULL)
		result = read_revocations(r, crl);
	EVP_DigestFinal_ex(r->digest, r->trust->digest, NULL);
	EVP_MD_CTX_free(r->digest);
	if (result == -1)
		tlstrust_free(&r->trust);
	return r->trust;
}

struct tlstrust *
tlstrust_load(const char *shown, const char *hidden, const char *crl, char *why, size_t size)
{
	struct reading r = begin(why, size);

	return end(&r, crl, read_files(&r, shown, hidden));
}

struct tlstrust *
tlstrust_load_system(const char *crl, char *why, size_t size)
{
	struct reading r = begin(why, size);

	return end(&r, crl, read_system(&r));
}

void
tlstrust_free(struct tlstrust **trustp)
{
	struct tlstrust *trust = *trustp;

	if (trust == NULL)
		return;
	X509_STORE_free(trust->store);
	sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
	mem_free(trust);
	*trustp = NULL;
}

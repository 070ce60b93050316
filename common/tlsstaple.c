#include "common/tlsstaple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/tlscert.h"
#include "common/tlserror.h"
#include "common/tlsfile.h"

struct tlsstaple {
	unsigned char *bytes;           /* owned: DER */
	size_t len;
	time_t expiry;
	const X509 **leaves;            /* owned array of borrowed: whom it is for */
	size_t count;
};

static time_t
time_of(const ASN1_GENERALIZEDTIME *when)
{
	struct tm tm = { 0 };

	return when != NULL && ASN1_TIME_to_tm(when, &tm) == 1 ? timegm(&tm) : 0;
}

/* The answer for a certificate by its serial number, or NULL. */
static OCSP_SINGLERESP *
find_single(OCSP_BASICRESP *basic, const X509 *leaf)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		ASN1_INTEGER *serial = NULL;

		OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single));
		if (serial != NULL && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0)
			return single;
	}
	return NULL;
}

/* Notes whom it is for, and the earliest end of what it says. */
static void
match(struct tlsstaple *staple, OCSP_BASICRESP *basic, const X509 *leaf)
{
	OCSP_SINGLERESP *single = find_single(basic, leaf);
	ASN1_GENERALIZEDTIME *next = NULL;
	time_t end;

	if (single == NULL)
		return;
	staple->leaves[staple->count++] = leaf;
	OCSP_single_get0_status(single, NULL, NULL, NULL, &next);
	end = time_of(next);
	if (end != 0 && (staple->expiry == 0 || end < staple->expiry))
		staple->expiry = end;
}

static OCSP_RESPONSE *
read_response(const char *path, char *why, size_t size)
{
	BIO *bio = tlsfile_open(path);
	OCSP_RESPONSE *response = bio == NULL ? NULL : d2i_OCSP_RESPONSE_bio(bio, NULL);

	if (response == NULL)
		tlserror_write(why, size, "%s(\"%s\") failed", bio == NULL ? "BIO_new_file" : "d2i_OCSP_RESPONSE_bio",
		    path);
	BIO_free(bio);
	return response;
}

static OCSP_BASICRESP *
basic_of(OCSP_RESPONSE *response, const char *path, char *why, size_t size)
{
	int status = OCSP_response_status(response);
	OCSP_BASICRESP *basic = NULL;

	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		snprintf(why, size, "OCSP response \"%s\" not successful (%d: %s)", path, status,
		    OCSP_response_status_str(status));
	else if ((basic = OCSP_response_get1_basic(response)) == NULL)
		tlserror_write(why, size, "OCSP_response_get1_basic(\"%s\") failed", path);
	return basic;
}

static struct tlsstaple *
make(OCSP_RESPONSE *response, OCSP_BASICRESP *basic, const struct tlscert *const *certs, size_t count)
{
	struct tlsstaple *staple = mem_alloc(sizeof(*staple));
	unsigned char *at;

	staple->len = (size_t)i2d_OCSP_RESPONSE(response, NULL);
	staple->bytes = at = mem_alloc(staple->len);
	i2d_OCSP_RESPONSE(response, &at);
	staple->leaves = mem_array(count, sizeof(*staple->leaves));
	for (size_t i = 0; i < count; i++)
		match(staple, basic, tlscert_leaf(certs[i]));
	return staple;
}

struct tlsstaple *
tlsstaple_load(const char *path, const struct tlscert *const *certs, size_t count, char *why, size_t size)
{
	struct tlsstaple *staple = NULL;
	OCSP_BASICRESP *basic = NULL;
	OCSP_RESPONSE *response;

	ERR_clear_error();
	response = read_response(path, why, size);
	if (response != NULL && (basic = basic_of(response, path, why, size)) != NULL) {
		staple = make(response, basic, certs, count);
		if (staple->count == 0) {
			snprintf(why, size, "OCSP response \"%s\" is for none of the certificates", path);
			tlsstaple_free(&staple);
		}
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return staple;
}

void
tlsstaple_free(struct tlsstaple **staplep)
{
	struct tlsstaple *staple = *staplep;

	if (staple == NULL)
		return;
	mem_free(staple->bytes);
	mem_free(staple->leaves);
	mem_free(staple);
	*staplep = NULL;
}

time_t
tlsstaple_expiry(const struct tlsstaple *staple)
{
	return staple->expiry;
}

bool
tlsstaple_attach(const struct tlsstaple *staple, SSL *ssl, const X509 *leaf, time_t now)
{
	size_t i = 0;
	unsigned char *copy;

	while (i < staple->count && staple->leaves[i] != leaf)
		i++;
	if (i == staple->count || (staple->expiry != 0 && staple->expiry <= now))
		return false;
	/* OpenSSL frees it. */
	copy = OPENSSL_memdup(staple->bytes, staple->len);
	if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len) != 1) {
		OPENSSL_free(copy);
		return false;
	}
	return true;
}

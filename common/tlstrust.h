/*
 * tlstrust - whose word is taken: CA certificates and revocation lists
 *
 * Read whole by the master: nothing is looked up in folders later, when no path can be
 * opened any more. A trust without a single CA is refused, as it would refuse everybody.
 * Built on: tlserror, mem, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSTRUST_H
#define POSTERN_COMMON_TLSTRUST_H

#include <openssl/x509.h>
#include <stddef.h>

#define TLSTRUST_DIGEST 32

struct tlstrust {
	X509_STORE *store;
	STACK_OF(X509_NAME) *names;             /* of the CAs in `shown`; NULL: none */
	unsigned char digest[TLSTRUST_DIGEST];  /* of everything that was read */
};

/*
 * Reads CAs from `shown` (their names are for clients to know) and `hidden`, either of
 * which may be NULL, and CRLs from `crl` unless NULL; with CRLs every certificate of a
 * chain needs one. NULL with the reason in `why`.
 */
struct tlstrust *tlstrust_load(const char *shown, const char *hidden, const char *crl, char *why, size_t size);

/* The same with the CAs that the system trusts. */
struct tlstrust *tlstrust_load_system(const char *crl, char *why, size_t size);

/* Where those stand: OpenSSL's variables say so, or it was built to look there. */
const char *tlstrust_system_file(void);
const char *tlstrust_system_folder(void);

void tlstrust_free(struct tlstrust **trustp);

#endif

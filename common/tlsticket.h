/*
 * tlsticket - the keys that session tickets are sealed with
 *
 * Either the operator's, from files that several machines may share, or our own, in
 * memory that all workers see and only the master can write: they are made at random,
 * replaced after a while, and the one before still opens tickets. A worker has no way to
 * write there, nor to keep the page writable over its fork. Built on: mem, memfd, must, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSTICKET_H
#define POSTERN_COMMON_TLSTICKET_H

#include <openssl/evp.h>
#include <stddef.h>

#define TLSTICKET_OWN_KEYS 2
#define TLSTICKET_KEY 80        /* bytes */

struct tlsticket;

/* Our own keys, for a process that follows this one; the first seals. Secret. */
struct tlsticket_keys {
	unsigned char keys[TLSTICKET_OWN_KEYS][TLSTICKET_KEY];
};

/* Our own keys. Ends the process if there is no memory or no randomness for them. */
struct tlsticket *tlsticket_new(void);

/*
 * Those of files, of 48 or 80 bytes as nginx has them: the first seals, all open. `paths`
 * is NULL-ended. NULL with the reason in `why`.
 */
struct tlsticket *tlsticket_load(const char *const *paths, char *why, size_t size);

void tlsticket_free(struct tlsticket **ticketp);

/* A new key seals from now on; the last one opens until the next rotation. Master only, and only of our own. */
void tlsticket_rotate(struct tlsticket *ticket);

/* Master only, and only of our own. */
void tlsticket_export(const struct tlsticket *ticket, struct tlsticket_keys *keys);
void tlsticket_import(struct tlsticket *ticket, const struct tlsticket_keys *keys);

/* Children of this process will not have the memory writable. Only of our own. */
void tlsticket_settle(struct tlsticket *ticket);

enum tlsticket_found {
	TLSTICKET_BROKEN = -1,
	TLSTICKET_UNKNOWN,
	TLSTICKET_CURRENT,      /* by the key that seals now */
	TLSTICKET_OLD,          /* by another: the client ought to have a new one */
};

/*
 * What OpenSSL's ticket callback is to do. Sealing (`seal` 1) fills in `name` and `iv`, opening finds
 * the key by `name`; both make the contexts ready.
 */
enum tlsticket_found tlsticket_prepare(const struct tlsticket *ticket, unsigned char name[16], unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal);

#endif

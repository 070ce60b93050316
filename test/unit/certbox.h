/*
 * certbox - certificates made for a test, and two sides that shake hands
 *
 * In a folder of its own: NAME.pem, NAME.key. Nothing of it is in the tree.
 */
#ifndef POSTERN_TEST_UNIT_CERTBOX_H
#define POSTERN_TEST_UNIT_CERTBOX_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct certbox_request {
	const char *name;       /* of the files and, as CN and DNS name, of the subject */
	const char *ca;         /* the issuer's files; NULL: signs itself */
	bool is_ca, rsa;
	unsigned bits;          /* of an RSA key; 0: 2048 */
	long from, until;       /* seconds from now; until 0: an hour */
	const char *ip;         /* an address beside the name */
};

/*
 * Makes the folder, and in it: ca, server and rsa (of ca), other (a CA), stranger (of other). For
 * an unchecked fixture.
 */
void certbox_open(void);
void certbox_close(void);

void certbox_issue(const struct certbox_request *request);

/* Writes FILE: a CRL of `ca` that has `revoked`, or nobody if NULL. */
void certbox_revoke(const char *ca, const char *file, const char *revoked);

/* Writes FILE: that `name` is good, says `ca`, until `until` seconds from now. */
void certbox_staple(const char *ca, const char *file, const char *name, long until);

/* Encrypts NAME.key into FILE. */
void certbox_encrypt(const char *name, const char *file, const char *password);

void certbox_write(const char *file, const void *bytes, size_t len);

/* The path of a file in the folder; the last 32 answers stay. */
const char *certbox_path(const char *file);

/* Lets both shake hands over memory; true if both are done. What breaks one leaves the other where it is. */
bool certbox_shake(SSL *client, SSL *server);

/* Sends a byte each way: what came after the handshake, tickets, has arrived then. */
void certbox_talk(SSL *client, SSL *server);

#endif

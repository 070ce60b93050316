/*
 * bearer - messages that bring a bearer token
 *
 * OAUTHBEARER (RFC 7628 section 3.1) says who is meant in a GS2 header, XOAUTH2 (Google's,
 * the older one) in a field; then both have fields, key=value, each ended by ^A, and one
 * more ^A as the end. Strict: a field that is known stands once, one that is not known is
 * looked at and passed over, nothing follows the end. bearer says where things stand in a
 * message; how long they may be, and that they hold no line ends, is for others to see to.
 * Built on: nothing.
 */
#ifndef POSTERN_WORKER_PROTO_BEARER_H
#define POSTERN_WORKER_PROTO_BEARER_H

#include <stdbool.h>
#include <stddef.h>

/* Parts of a message, which they point into; no NUL behind them. */
struct bearer {
	const char *user;       /* whom the client claims to be */
	size_t user_len;        /* 0: it does not say */
	const char *token;
	size_t token_len;
};

/*
 * Read a message. NULL, or what is wrong with it, static, as in "client sent WHAT". That of
 * OAUTHBEARER is changed: the name's escapes are decoded where they stand.
 */
const char *bearer_read_xoauth2(struct bearer *b, const char *bytes, size_t len);
const char *bearer_read_oauthbearer(struct bearer *b, char *bytes, size_t len);

/* Is it a b64token (RFC 6750 section 2.1)? */
bool bearer_is_token(const char *text, size_t len);

#endif

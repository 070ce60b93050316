/*
 * sasl_client - the client's side of the SASL mechanisms, towards a backend
 *
 * Says which mechanism a login uses, given what is to be shown (struct login_means) and
 * what the backend offers, and composes its responses: PLAIN (RFC 4616), LOGIN
 * (draft-murchison-sasl-login), XOAUTH2, OAUTHBEARER (RFC 7628) and EXTERNAL (RFC 4422
 * appendix A). The protocol around it sends them. What could be taken for something else
 * on the wire is refused: no CR, LF or NUL in a name or password, and in a token only the
 * characters of one (RFC 6750 section 2.1). Pure. Built on: base64, bearer, buf, mem, proto.h, sasl.
 */
#ifndef POSTERN_WORKER_PROTO_SASL_CLIENT_H
#define POSTERN_WORKER_PROTO_SASL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/proto/proto.h"

struct sasl_client {
	const struct login_means *means;        /* borrowed */
	enum proxy_auth how;                    /* a mechanism: never AUTO or NONE */
	unsigned step;                          /* responses given */
};

/*
 * Adds the mechanisms named in `words` (blank-separated, as EHLO lists them behind AUTH) to
 * *offered, a set of bits 1 << enum proxy_auth, that of PROXY_AUTH_AUTO meaning that a list
 * was there at all. Names that we cannot speak are no bits.
 */
void sasl_client_read_offer(unsigned *offered, const char *words, size_t len);

/*
 * The mechanism for a login: as means->how says, else the token's own or its sibling, or
 * PLAIN, or LOGIN where no other is meant. `offered` is what the backend has told; 0: it
 * has told nothing, and then it is taken at its word of having all. PROXY_AUTH_NONE: it
 * offers none that would do.
 */
enum proxy_auth sasl_client_choose(const struct login_means *means, unsigned offered);

/* "PLAIN"; NULL for PROXY_AUTH_AUTO and PROXY_AUTH_NONE. */
const char *sasl_client_name(enum proxy_auth how);

/*
 * Can the means be shown by that mechanism at all? Returns NULL, or what is wrong, static,
 * for a note: "no password available", "invalid credentials for upstream".
 */
const char *sasl_client_judge(const struct login_means *means, enum proxy_auth how);

void sasl_client_init(struct sasl_client *c, const struct login_means *means, enum proxy_auth how);

/* Can its first response go with the command, in max_len bytes? LOGIN waits for the backend to ask. */
bool sasl_client_goes_first(const struct sasl_client *c, size_t max_len);

/*
 * Appends the next response in base64, "=" for an empty initial one. Behind the last comes
 * what ends an exchange that brought an error challenge (RFC 7628 section 3.2.3). Returns
 * NULL; or, static, why there is nothing to say or no room for it, and `out` is spoilt.
 */
const char *sasl_client_respond(struct sasl_client *c, struct buf *out);

/* Has everything been said that can let somebody in, and no error challenge come since? */
bool sasl_client_is_done(const struct sasl_client *c);

#endif

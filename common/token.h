/*
 * token - whether the claims of a token let somebody in
 *
 * Claims are a JSON object: the payload of a JWT whose signature has been verified (RFC
 * 7519 section 4), or the answer of an introspection server (RFC 7662 section 2.2, whose
 * "active" is the asker's to look at). Whoever calls vouches for where they came from.
 * What is configured must be there and fit, what is there and of the wrong type is never
 * passed over, and no reason holds anything of the token. Pure. Built on: conf.h (struct
 * conf_token), mem, jansson.
 */
#ifndef POSTERN_COMMON_TOKEN_H
#define POSTERN_COMMON_TOKEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"

#define TOKEN_USER_MAX 1024     /* bytes of a user name */

/* TOKEN_BAD: no issuer that knows what it does says such a thing. It lets nobody in either. */
enum token_verdict { TOKEN_ACCEPTED, TOKEN_REFUSED, TOKEN_BAD };

struct token_finding {
	const char *reason;     /* static, for the log; NULL when accepted */
	char *user;             /* the caller's to free, when accepted: whose token it is */
	uint64_t good_ms;       /* when accepted: how long it will be so; 0: the token does not say */
};

struct token_question {
	const char *user;       /* whom the client claims to be; NULL or "": whoever the token says */
	uint64_t now_ms;        /* since the epoch */
	bool must_expire;       /* a token without "exp" is refused */
};

/* Loads what jansson takes from a path at first use; for processes that enter a sandbox. */
void token_prepare(void);

/*
 * Reads one JSON object: no doubled member names (RFC 7515 section 4), nothing behind it.
 * Returns it, the caller's to json_decref(), or NULL.
 */
json_t *token_parse(const char *text, size_t len);

/* Is "iss" whom `want` asks for? Without an issuer there anybody is. */
bool token_issuer_fits(const struct conf_token *want, const json_t *claims);

/*
 * Judges the claims: issuer, audience, "exp", "nbf", "iat", scopes (in "scope" or "scp", as
 * an array or separated by blanks), and whose it is. An address in "email" that
 * "email_verified" denies is nobody's.
 */
enum token_verdict token_judge(const struct conf_token *want, const json_t *claims,
    const struct token_question *question, struct token_finding *finding);

/* Do both name one user: as bytes before the last "@", letters of either case behind it? */
bool token_same_user(const char *a, const char *b);

#endif

/*
 * jwt - whether a JSON Web Token lets somebody in
 *
 * A token in compact form (RFC 7515 section 7.1): a header, claims, and a signature by a
 * key that its issuer has published. The header chooses among what the keys allow and
 * nothing else (RFC 8725): keys or links to keys in it are not looked at, an algorithm is
 * bound to its type of key, and what must be understood ("crit") is not. Claims are
 * believed only once the signature is. Pure. Built on: jwks, jwa, token, base64, mem.
 */
#ifndef POSTERN_WORKER_HELPER_JWT_H
#define POSTERN_WORKER_HELPER_JWT_H

#include <stddef.h>

#include "common/token.h"
#include "worker/helper/jwks.h"

#define JWT_MAX 16384           /* bytes of a token */
#define JWT_HEADER_MAX 4096     /* of its header, decoded */
#define JWT_TRIES_MAX 16        /* keys that are tried for a token that names none */

/*
 * JWT_FOREIGN: not for us to judge. It is no JWT, of another issuer, or signed by a key
 * that is not in the set; whoever knows its issuer may say more. Everything else that is
 * wrong with a token is JWT_REFUSED.
 */
enum jwt_verdict { JWT_ACCEPTED, JWT_REFUSED, JWT_FOREIGN };

/* `finding` is filled in as by token_judge(); a token has to expire, whatever the question says. */
enum jwt_verdict jwt_judge(const struct jwks *set, const struct conf_token *want, const char *token, size_t len,
    const struct token_question *question, struct token_finding *finding);

#endif

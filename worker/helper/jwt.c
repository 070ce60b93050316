#include "worker/helper/jwt.h"

#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "worker/helper/jwa.h"

struct slice {
	const char *text;
	size_t len;
};

struct jwt {
	struct slice header, claims_text, signature;    /* borrowed from the token, in base64url */
	json_t *head, *claims;          /* owned */
	const struct jwa *alg;
	const char *kid;                /* borrowed from head; NULL: it names no key */
};

/* Cuts at the two dots that there must be. */
static bool
split(struct jwt *jwt, const char *token, size_t len)
{
	const char *end = token + len, *first = memchr(token, '.', len), *second;

	if (first == NULL || (second = memchr(first + 1, '.', (size_t)(end - first) - 1)) == NULL ||
	    memchr(second + 1, '.', (size_t)(end - second) - 1) != NULL)
		return false;
	jwt->header = (struct slice){ token, (size_t)(first - token) };
	jwt->claims_text = (struct slice){ first + 1, (size_t)(second - first) - 1 };
	jwt->signature = (struct slice){ second + 1, (size_t)(end - second) - 1 };
	return true;
}

/* The bytes that a part stands for, *len of them, the caller's to free; NULL if it is not base64url. */
static unsigned char *
decode(const struct slice *part, size_t *len)
{
	unsigned char *bytes = mem_alloc(BASE64URL_DECODED(part->len) + 1);
	ssize_t got = base64url_decode(bytes, part->text, part->len);

	if (got >= 0) {
		*len = (size_t)got;
		return bytes;
	}
	mem_free(bytes);
	return NULL;
}

static json_t *
decode_object(const struct slice *part, size_t max_len)
{
	size_t len;
	unsigned char *bytes = decode(part, &len);
	json_t *object = bytes != NULL && len <= max_len ? token_parse((char *)bytes, len) : NULL;

	mem_free(bytes);
	return object;
}

/* The header of a token begins as an object does; other issuers' tokens with two dots in them do not. */
static bool
is_jwt(const struct jwt *jwt)
{
	const struct slice start = { jwt->header.text, 4 };
	unsigned char bytes[3];

	return jwt->header.len >= 4 && base64url_decode(bytes, start.text, start.len) == 3 && bytes[0] == '{';
}

static bool
is_media_type(const json_t *type)
{
	static const char *const names[] = { "JWT", "at+jwt", "application/jwt", "application/at+jwt" };
	const char *text = json_string_value(type);

	for (size_t i = 0; text != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(text, names[i]) == 0)
			return true;
	return false;
}

/* Returns NULL, or what in the header forbids to believe the rest. */
static const char *
judge_header(struct jwt *jwt)
{
	const json_t *type = json_object_get(jwt->head, "typ"), *kid = json_object_get(jwt->head, "kid");
	const char *alg = json_string_value(json_object_get(jwt->head, "alg"));

	if (alg == NULL)
		return "the token names no algorithm";
	if ((jwt->alg = jwa_find(alg)) == NULL)
		return "the token's algorithm is not taken";
	if (json_object_get(jwt->head, "crit") != NULL)
		return "the token asks for an extension";
	if (type != NULL && !is_media_type(type))
		return "the token is of another type";
	if (kid != NULL && (jwt->kid = json_string_value(kid)) == NULL)
		return "the token's key has no name that is one";
	return NULL;
}

/* RFC 7515 section 5.2: what was signed is the text as it stands there. */
static const char *
judge_signature(const struct jwt *jwt, const struct jwks *set)
{
	size_t at = 0, signature_len;
	unsigned char *signature = decode(&jwt->signature, &signature_len);
	const struct jwa_signed what = {
		.text = jwt->header.text, .len = jwt->header.len + 1 + jwt->claims_text.len,
		.signature = signature, .signature_len = signature == NULL ? 0 : signature_len,
	};
	const char *why =
	    signature == NULL ? "the token's signature is malformed" : "no key is for the token's algorithm";
	EVP_PKEY *key;

	for (unsigned tries = 0; signature != NULL && (key = jwks_next(set, &at, jwt->kid, jwt->alg)) != NULL;
	    tries++) {
		if (tries == JWT_TRIES_MAX) {
			why = "the token names no key, and there are too many to try";
			break;
		}
		if (jwa_verify(jwt->alg, key, &what)) {
			why = NULL;
			break;
		}
		why = "the token's signature is wrong";
	}
	mem_free(signature);
	return why;
}

static enum jwt_verdict
say(struct token_finding *finding, enum jwt_verdict verdict, const char *reason)
{
	finding->reason = reason;
	return verdict;
}

static enum jwt_verdict
judge(struct jwt *jwt, const struct jwks *set, const struct conf_token *want, const struct token_question *question,
    struct token_finding *finding)
{
	const struct token_question strict = {
		.user = question->user, .now_ms = question->now_ms, .must_expire = true
	};
	const char *why;

	if ((jwt->head = decode_object(&jwt->header, JWT_HEADER_MAX)) == NULL)
		return say(finding, JWT_REFUSED, "the token's header is malformed");
	if ((jwt->claims = decode_object(&jwt->claims_text, JWT_MAX)) == NULL)
		return say(finding, JWT_REFUSED, "the token's claims are malformed");
	if (!token_issuer_fits(want, jwt->claims))
		return say(finding, JWT_FOREIGN, "the token is of another issuer");
	if ((why = judge_header(jwt)) != NULL)
		return say(finding, JWT_REFUSED, why);
	if (!jwks_has(set, jwt->kid))
		return say(finding, JWT_FOREIGN, "the token's key is not known");
	if ((why = judge_signature(jwt, set)) != NULL)
		return say(finding, JWT_REFUSED, why);
	return token_judge(want, jwt->claims, &strict, finding) == TOKEN_ACCEPTED ? JWT_ACCEPTED : JWT_REFUSED;
}

enum jwt_verdict
jwt_judge(const struct jwks *set, const struct conf_token *want, const char *token, size_t len,
    const struct token_question *question, struct token_finding *finding)
{
	struct jwt jwt = { .kid = NULL };
	enum jwt_verdict verdict;

	*finding = (struct token_finding){ 0 };
	if (len > JWT_MAX)
		return say(finding, JWT_REFUSED, "the token is too long");
	if (!split(&jwt, token, len) || !is_jwt(&jwt))
		return say(finding, JWT_FOREIGN, "the token is no JWT");
	verdict = judge(&jwt, set, want, question, finding);
	json_decref(jwt.head);
	json_decref(jwt.claims);
	return verdict;
}

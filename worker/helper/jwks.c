#include "worker/helper/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdint.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/token.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192       /* what a forged token may cost */
#define RSA_EXPONENT_BITS_MAX 64
#define NUMBER_MAX 1025         /* bytes of a number in a key: a modulus, and a zero before it */

struct jwk {
	char *kid;                      /* owned; NULL: it has no name */
	const struct jwa *alg;          /* the only one that it is for; NULL: any of its type */
	enum jwa_key type;
	EVP_PKEY *key;                  /* owned */
};

struct jwks {
	size_t count;
	struct jwk keys[];
};

/* A number or point of a key, as bytes. */
struct octets {
	unsigned char bytes[NUMBER_MAX];
	size_t len;
};

static bool
read_octets(const json_t *jwk, const char *name, struct octets *out)
{
	const json_t *value = json_object_get(jwk, name);
	size_t len = json_string_length(value);
	ssize_t got;

	if (len == 0 || BASE64URL_DECODED(len) > sizeof(out->bytes) ||
	    (got = base64url_decode(out->bytes, json_string_value(value), len)) <= 0)
		return false;
	out->len = (size_t)got;
	return true;
}

/* A key of libcrypto's, which has looked at it; NULL if it does not take it. */
static EVP_PKEY *
make_key(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1 ||
	    (check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) == NULL || EVP_PKEY_public_check(check) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return key;
}

static const char *
judge_rsa(const BIGNUM *n, const BIGNUM *e)
{
	if (BN_num_bits(n) < RSA_BITS_MIN)
		return "the RSA key is too short";
	if (BN_num_bits(n) > RSA_BITS_MAX)
		return "the RSA key is too long";
	return BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX ? NULL :
	    "the RSA key is none";
}

static const char *
read_rsa(struct jwk *key, const json_t *jwk)
{
	struct octets modulus, exponent;
	OSSL_PARAM_BLD *build;
	BIGNUM *n, *e;
	const char *why;

	if (!read_octets(jwk, "n", &modulus) || !read_octets(jwk, "e", &exponent))
		return "\"n\" or \"e\" of an RSA key is missing or invalid";
	build = OSSL_PARAM_BLD_new();
	n = BN_bin2bn(modulus.bytes, (int)modulus.len, NULL);
	e = BN_bin2bn(exponent.bytes, (int)exponent.len, NULL);
	if (build == NULL || n == NULL || e == NULL)
		why = "no memory";
	else if ((why = judge_rsa(n, e)) == NULL &&
	    (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1 ||
	    (key->key = make_key("RSA", build)) == NULL))
		why = "the RSA key is none";
	key->type = JWA_RSA;
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return why;
}

static const struct curve {
	const char *name;
	enum jwa_key type;
	size_t len;             /* bytes of a coordinate, leading zeros included */
} curves[] = {
	{ "P-256", JWA_P256, 32 },
	{ "P-384", JWA_P384, 48 },
	{ "P-521", JWA_P521, 66 },
};

static const char *
read_point(struct jwk *key, const struct curve *curve, const struct octets *x, const struct octets *y)
{
	unsigned char point[1 + 2 * 66] = { POINT_CONVERSION_UNCOMPRESSED };
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();

	memcpy(point + 1, x->bytes, curve->len);
	memcpy(point + 1 + curve->len, y->bytes, curve->len);
	if (build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->len) == 1)
		key->key = make_key("EC", build);
	OSSL_PARAM_BLD_free(build);
	key->type = curve->type;
	return key->key != NULL ? NULL : "the point of the EC key is not on its curve";
}

static const char *
read_ec(struct jwk *key, const json_t *jwk)
{
	const char *name = json_string_value(json_object_get(jwk, "crv"));
	struct octets x, y;

	for (size_t i = 0; name != NULL && i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(name, curves[i].name) != 0)
			continue;
		if (!read_octets(jwk, "x", &x) || !read_octets(jwk, "y", &y) || x.len != curves[i].len ||
		    y.len != curves[i].len)
			return "\"x\" or \"y\" of an EC key is missing or invalid";
		return read_point(key, &curves[i], &x, &y);
	}
	return "unknown \"crv\" of an EC key";
}

static const char *
read_okp(struct jwk *key, const json_t *jwk)
{
	const char *name = json_string_value(json_object_get(jwk, "crv"));
	struct octets x;

	if (name == NULL || strcmp(name, "Ed25519") != 0)
		return "unknown \"crv\" of an OKP key";
	if (!read_octets(jwk, "x", &x) || x.len != 32)
		return "\"x\" of an OKP key is missing or invalid";
	key->type = JWA_ED25519;
	key->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.bytes, x.len);
	ERR_clear_error();
	return key->key != NULL ? NULL : "the OKP key is none";
}

static const struct {
	const char *name;
	const char *(*read)(struct jwk *key, const json_t *jwk);
} types[] = {
	{ "RSA", read_rsa },
	{ "EC",  read_ec },
	{ "OKP", read_okp },
};

static const char *
read_type(struct jwk *key, const json_t *jwk)
{
	const char *name = json_string_value(json_object_get(jwk, "kty"));

	for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(name, types[i].name) == 0)
			return types[i].read(key, jwk);
	return name != NULL && strcmp(name, "oct") == 0 ? "a shared secret is no public key" : "unknown \"kty\"";
}

/* What says of itself that it is not for signatures (RFC 7517 sections 4.2 and 4.3). */
static bool
is_for_others(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use"), *operations = json_object_get(jwk, "key_ops"), *each;
	size_t i;

	if (use != NULL && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0))
		return true;
	if (operations == NULL)
		return false;
	json_array_foreach(operations, i, each)
		if (json_is_string(each) && strcmp(json_string_value(each), "verify") == 0)
			return false;
	return true;
}

static const char *
read_key(struct jwk *key, const json_t *jwk)
{
	const json_t *alg = json_object_get(jwk, "alg"), *kid = json_object_get(jwk, "kid");
	const char *why;

	if (alg != NULL && (!json_is_string(alg) || (key->alg = jwa_find(json_string_value(alg))) == NULL))
		return "unknown \"alg\"";
	if (kid != NULL && !json_is_string(kid))
		return "\"kid\" is no string";
	if ((why = read_type(key, jwk)) != NULL)
		return why;
	if (key->alg != NULL && jwa_key(key->alg) != key->type)
		return "\"alg\" is for keys of another type";
	key->kid = mem_strdup(json_string_value(kid));
	return NULL;
}

static void
key_reset(struct jwk *key)
{
	mem_free(key->kid);
	EVP_PKEY_free(key->key);
	*key = (struct jwk){ 0 };
}

static void
add(struct jwks *set, const json_t *jwk, size_t number, jwks_listener *hear, void *ctx)
{
	struct jwk *key = &set->keys[set->count];
	const char *why;

	if (json_is_object(jwk) && is_for_others(jwk))
		return;
	if ((why = json_is_object(jwk) ? read_key(key, jwk) : "it is no object") != NULL) {
		key_reset(key);
		hear(ctx, number, why);
		return;
	}
	if (json_object_get(jwk, "d") != NULL)
		hear(ctx, number, "its private half stands there too");
	set->count++;
}

static const char *
read_set(struct jwks **setp, const json_t *keys, jwks_listener *hear, void *ctx)
{
	size_t count = json_array_size(keys), i;
	json_t *jwk;

	if (!json_is_array(keys))
		return "no array \"keys\"";
	if (count > JWKS_KEYS_MAX)
		return "too many keys";
	*setp = mem_alloc(sizeof(**setp) + count * sizeof((*setp)->keys[0]));
	json_array_foreach(keys, i, jwk)
		add(*setp, jwk, i + 1, hear, ctx);
	if ((*setp)->count > 0)
		return NULL;
	jwks_free(setp);
	return "no key that can be used";
}

const char *
jwks_new(struct jwks **setp, const char *text, size_t len, jwks_listener *hear, void *ctx)
{
	json_t *root = len <= JWKS_MAX ? token_parse(text, len) : NULL;
	const char *why = "not a JSON object";

	*setp = NULL;
	if (root != NULL)
		why = read_set(setp, json_object_get(root, "keys"), hear, ctx);
	json_decref(root);
	return why;
}

void
jwks_free(struct jwks **setp)
{
	struct jwks *set = *setp;

	for (size_t i = 0; set != NULL && i < set->count; i++)
		key_reset(&set->keys[i]);
	mem_free(set);
	*setp = NULL;
}

size_t
jwks_count(const struct jwks *set)
{
	return set->count;
}

static bool
is_called(const struct jwk *key, const char *kid)
{
	return kid == NULL || key->kid == NULL || strcmp(key->kid, kid) == 0;
}

bool
jwks_has(const struct jwks *set, const char *kid)
{
	for (size_t i = 0; i < set->count; i++)
		if (is_called(&set->keys[i], kid))
			return true;
	return false;
}

EVP_PKEY *
jwks_next(const struct jwks *set, size_t *at, const char *kid, const struct jwa *alg)
{
	while (*at < set->count) {
		const struct jwk *key = &set->keys[(*at)++];

		if (is_called(key, kid) && key->type == jwa_key(alg) && (key->alg == NULL || key->alg == alg))
			return key->key;
	}
	return NULL;
}

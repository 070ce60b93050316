#include "test/unit/jwtbox.h"

#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"

#define SIGNATURE_MAX 1024

char *
jwtbox_encode(const void *bytes, size_t len)
{
	char *text = mem_alloc(BASE64_ENCODED(len) + 1);

	text[base64_encode(text, bytes, len)] = '\0';
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	text[strcspn(text, "=")] = '\0';
	return text;
}

/* A number of the key in `len` bytes; 0: as many as it has. */
static char *
number(EVP_PKEY *key, const char *name, size_t len)
{
	unsigned char bytes[SIGNATURE_MAX];
	BIGNUM *n = NULL;
	char *text;

	ck_assert_int_eq(EVP_PKEY_get_bn_param(key, name, &n), 1);
	if (len == 0)
		len = (size_t)BN_num_bytes(n);
	ck_assert_int_eq(BN_bn2binpad(n, bytes, (int)len), (int)len);
	BN_free(n);
	text = jwtbox_encode(bytes, len);
	return text;
}

/* A JWK whose members, behind `more`, are two numbers of the key: "NAME":"BASE64URL". */
static char *
two_numbers(EVP_PKEY *key, const char *more, const char *names[2], const char *params[2], size_t len)
{
	char *a = number(key, params[0], len), *b = number(key, params[1], len);
	char *text = mem_printf("{%s\"%s\":\"%s\",\"%s\":\"%s\"}", more, names[0], a, names[1], b);

	mem_free(a);
	mem_free(b);
	return text;
}

static char *
rsa_jwk(EVP_PKEY *key, const char *more)
{
	const char *names[] = { "n", "e" }, *params[] = { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E };
	char *with_type = mem_printf("%s\"kty\":\"RSA\",", more), *text = two_numbers(key, with_type, names, params, 0);

	mem_free(with_type);
	return text;
}

static char *
ec_jwk(EVP_PKEY *key, const char *more)
{
	const char *names[] = { "x", "y" }, *params[] = { OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y };
	int bits = EVP_PKEY_get_bits(key);
	char *with_type = mem_printf("%s\"kty\":\"EC\",\"crv\":\"P-%d\",", more, bits);
	char *text = two_numbers(key, with_type, names, params, (size_t)(bits + 7) / 8);

	mem_free(with_type);
	return text;
}

char *
jwtbox_jwk(EVP_PKEY *key, const char *more)
{
	unsigned char raw[32];
	size_t raw_len = sizeof(raw);
	char *x, *text;

	if (EVP_PKEY_is_a(key, "RSA"))
		return rsa_jwk(key, more);
	if (EVP_PKEY_is_a(key, "EC"))
		return ec_jwk(key, more);
	ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, raw, &raw_len), 1);
	x = jwtbox_encode(raw, raw_len);
	text = mem_printf("{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", more, x);
	mem_free(x);
	return text;
}

static const EVP_MD *
digest_of(const char *alg)
{
	return strcmp(alg, "EdDSA") == 0 ? NULL : strcmp(alg + 2, "256") == 0 ? EVP_sha256() :
	    strcmp(alg + 2, "384") == 0 ? EVP_sha384() : EVP_sha512();
}

/* The two numbers of a DER signature, padded to the size of the curve. */
static size_t
unpack(EVP_PKEY *key, unsigned char *signature, size_t der_len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
	int len = (EVP_PKEY_get_bits(key) + 7) / 8;

	ck_assert_ptr_nonnull(sig);
	ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, len), len);
	ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + len, len), len);
	ECDSA_SIG_free(sig);
	return 2 * (size_t)len;
}

static size_t
sign(EVP_PKEY *key, const char *alg, const char *text, unsigned char *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx;
	size_t len = SIGNATURE_MAX;

	ck_assert_int_eq(EVP_DigestSignInit(ctx, &key_ctx, digest_of(alg), NULL, key), 1);
	if (alg[0] == 'P') {
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST), 1);
	}
	ck_assert_int_eq(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	return EVP_PKEY_is_a(key, "EC") ? unpack(key, signature, len) : len;
}

static char *
join(char *text, const void *signature, size_t len)
{
	char *part = jwtbox_encode(signature, len), *token = mem_printf("%s.%s", text, part);

	mem_free(part);
	mem_free(text);
	return token;
}

char *
jwtbox_token(EVP_PKEY *key, const char *alg, const char *header, const char *claims)
{
	unsigned char signature[SIGNATURE_MAX];
	char *head = jwtbox_encode(header, strlen(header)), *body = jwtbox_encode(claims, strlen(claims));
	char *text = mem_printf("%s.%s", head, body);
	size_t len = sign(key, alg, text, signature);

	mem_free(head);
	mem_free(body);
	return join(text, signature, len);
}

char *
jwtbox_resign(const char *token, const void *signature, size_t len)
{
	return join(mem_strndup(token, (size_t)(strrchr(token, '.') - token)), signature, len);
}

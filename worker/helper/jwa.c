#include "worker/helper/jwa.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

struct jwa {
	const char *name;
	enum jwa_key key;
	const EVP_MD *(*digest)(void);  /* NULL: the key brings it */
	bool pss;
	size_t number_len;              /* ECDSA: bytes of each of the signature's two numbers */
};

static const struct jwa algs[] = {
	{ .name = "RS256", .key = JWA_RSA, .digest = EVP_sha256 },
	{ .name = "RS384", .key = JWA_RSA, .digest = EVP_sha384 },
	{ .name = "RS512", .key = JWA_RSA, .digest = EVP_sha512 },
	{ .name = "PS256", .key = JWA_RSA, .digest = EVP_sha256, .pss = true },
	{ .name = "PS384", .key = JWA_RSA, .digest = EVP_sha384, .pss = true },
	{ .name = "PS512", .key = JWA_RSA, .digest = EVP_sha512, .pss = true },
	{ .name = "ES256", .key = JWA_P256, .digest = EVP_sha256, .number_len = 32 },
	{ .name = "ES384", .key = JWA_P384, .digest = EVP_sha384, .number_len = 48 },
	{ .name = "ES512", .key = JWA_P521, .digest = EVP_sha512, .number_len = 66 },
	{ .name = "EdDSA", .key = JWA_ED25519 },
};

#define ALG_COUNT (sizeof(algs) / sizeof(algs[0]))

const struct jwa *
jwa_find(const char *name)
{
	if (strcmp(name, "Ed25519") == 0)       /* the name that RFC 9864 gives it */
		name = "EdDSA";
	for (size_t i = 0; i < ALG_COUNT; i++)
		if (strcmp(name, algs[i].name) == 0)
			return &algs[i];
	return NULL;
}

enum jwa_key
jwa_key(const struct jwa *alg)
{
	return alg->key;
}

/* Fresh DER, for OPENSSL_free(), of a signature that is two numbers of fixed size; -1 if it is not. */
static int
ecdsa_der(const struct jwa *alg, const struct jwa_signed *what, unsigned char **der)
{
	size_t len = alg->number_len;
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int der_len = -1;

	*der = NULL;
	if (what->signature_len != 2 * len || (sig = ECDSA_SIG_new()) == NULL)
		return -1;
	r = BN_bin2bn(what->signature, (int)len, NULL);
	s = BN_bin2bn(what->signature + len, (int)len, NULL);
	if (r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		der_len = i2d_ECDSA_SIG(sig, der);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return der_len;
}

static bool
verify(const struct jwa *alg, EVP_PKEY *key, const struct jwa_signed *what, const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx;
	bool good = ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, &key_ctx, alg->digest != NULL ? alg->digest() : NULL, NULL, key) == 1 &&
	    (!alg->pss || (EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	        EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
	    EVP_DigestVerify(ctx, signature, len, (const unsigned char *)what->text, what->len) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

bool
jwa_verify(const struct jwa *alg, EVP_PKEY *key, const struct jwa_signed *what)
{
	unsigned char *der;
	int len;
	bool good;

	if (alg->number_len == 0)
		return verify(alg, key, what, what->signature, what->signature_len);
	if ((len = ecdsa_der(alg, what, &der)) <= 0)
		return false;
	good = verify(alg, key, what, der, (size_t)len);
	OPENSSL_free(der);
	return good;
}

/* A key of each sort, and a signature that is none: that does the fetching. */
void
jwa_prepare(void)
{
	static const unsigned char zero[132];
	EVP_PKEY *keys[] = {
		[JWA_RSA] = EVP_RSA_gen(1024),
		[JWA_P256] = EVP_EC_gen("P-256"), [JWA_P384] = EVP_EC_gen("P-384"), [JWA_P521] = EVP_EC_gen("P-521"),
		[JWA_ED25519] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	};

	for (size_t i = 0; i < ALG_COUNT; i++) {
		const struct jwa *alg = &algs[i];
		const struct jwa_signed what = { "", 0, zero, alg->number_len != 0 ? 2 * alg->number_len : 128 };

		if (keys[alg->key] != NULL)
			jwa_verify(alg, keys[alg->key], &what);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		EVP_PKEY_free(keys[i]);
	ERR_clear_error();
}

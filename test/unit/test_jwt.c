#include "worker/helper/jwt.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/jwtbox.h"
#include "test/unit/unit.h"

#define NOW 1700000000          /* seconds */
#define CLAIMS "{\"iss\":\"https://id.example.org\",\"aud\":\"mail\",\"exp\":1700000300,\"email\":\"alice@example.org\"}"

static const char *audiences[] = { "mail", NULL };

static const struct conf_token want = {
	.issuer = "https://id.example.org", .audiences = audiences, .claim = "email", .leeway = 60000,
};

/* The keys of an issuer, "kid" and all, and one that is not his. */
enum who { RSA_ONE, RSA_TWO, P256, P256_TWO, P384, P521, ED, STRANGER, WHO_COUNT };

static const char *const kids[] = { "r1", "r2", "e1", "e2", "e3", "e5", "d1" };
static EVP_PKEY *keys[WHO_COUNT];
static struct jwks *set;

static void
hear(void *ctx, size_t number, const char *why)
{
	(void)ctx;
	ck_abort_msg("key %zu: %s", number, why);
}

static struct jwks *
publish(EVP_PKEY **published, size_t count, const char *const *names)
{
	char *text = mem_strdup("");
	struct jwks *result;

	for (size_t i = 0; i < count; i++) {
		char *more = mem_printf("\"kid\":\"%s\",", names[i]), *jwk = jwtbox_jwk(published[i], more);
		char *longer = mem_printf("%s%s%s", text, i > 0 ? "," : "{\"keys\":[", jwk);

		mem_free(more);
		mem_free(jwk);
		mem_free(text);
		text = longer;
	}
	text = strcat(mem_resize(text, strlen(text) + 3), "]}");
	ck_assert_ptr_null(jwks_new(&result, text, strlen(text), hear, NULL));
	ck_assert_uint_eq(jwks_count(result), count);
	mem_free(text);
	return result;
}

static void
open_issuer(void)
{
	keys[RSA_ONE] = EVP_RSA_gen(2048);
	keys[RSA_TWO] = EVP_RSA_gen(2048);
	keys[P256] = EVP_EC_gen("P-256");
	keys[P256_TWO] = EVP_EC_gen("P-256");
	keys[P384] = EVP_EC_gen("P-384");
	keys[P521] = EVP_EC_gen("P-521");
	keys[ED] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	keys[STRANGER] = EVP_EC_gen("P-256");
	set = publish(keys, STRANGER, kids);
}

static void
close_issuer(void)
{
	for (size_t i = 0; i < WHO_COUNT; i++)
		EVP_PKEY_free(keys[i]);
	jwks_free(&set);
}

/* What is said of a token that lies in a block of its exact size. */
static enum jwt_verdict
judge(const char *token, size_t len, struct token_finding *finding)
{
	const struct token_question question = { .user = "alice@EXAMPLE.org", .now_ms = (uint64_t)NOW * 1000 };
	char *block = mem_dup(token, len);
	enum jwt_verdict verdict = jwt_judge(set, &want, block, len, &question, finding);

	mem_free(block);
	ck_assert((verdict == JWT_ACCEPTED) == (finding->user != NULL));
	ck_assert((verdict == JWT_ACCEPTED) == (finding->reason == NULL));
	return verdict;
}

static void
assert_judged(const char *token, enum jwt_verdict verdict, const char *reason)
{
	struct token_finding finding;

	ck_assert_msg(judge(token, strlen(token), &finding) == verdict, "%s: %s", token, finding.reason);
	if (reason != NULL)
		ck_assert_str_eq(finding.reason, reason);
	else
		ck_assert_str_eq(finding.user, "alice@example.org");
	mem_free(finding.user);
}

static const struct {
	enum who who;
	const char *alg;
} goods[] = {
	{ RSA_ONE, "RS256" }, { RSA_TWO, "RS256" }, { RSA_ONE, "RS384" }, { RSA_ONE, "RS512" },
	{ RSA_ONE, "PS256" }, { RSA_ONE, "PS384" }, { RSA_ONE, "PS512" },
	{ P256, "ES256" }, { P256_TWO, "ES256" }, { P384, "ES384" }, { P521, "ES512" }, { ED, "EdDSA" },
};

static const char *const extras[] = {
	"", ",\"typ\":\"JWT\"", ",\"typ\":\"application/AT+jwt\"",
	",\"jku\":\"https://evil.example.org/\",\"x5u\":7,\"jwk\":{\"kty\":\"oct\"},\"x5c\":[]",
};

START_TEST(who_brings_a_token_of_the_issuer_is_let_in)
{
	const char *alg = goods[_i].alg;
	EVP_PKEY *key = keys[goods[_i].who];

	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		char *anonymous = mem_printf("{\"alg\":\"%s\"%s}", alg, extras[i]);
		char *named = mem_printf("{\"kid\":\"%s\",\"alg\":\"%s\"%s}", kids[goods[_i].who], alg, extras[i]);
		char *tokens[] = { jwtbox_token(key, alg, anonymous, CLAIMS), jwtbox_token(key, alg, named, CLAIMS) };

		for (size_t j = 0; j < 2; j++) {
			assert_judged(tokens[j], JWT_ACCEPTED, NULL);
			mem_free(tokens[j]);
		}
		mem_free(anonymous);
		mem_free(named);
	}
}
END_TEST

/* Signed as said, whatever the header says. */
static const struct {
	enum who who;
	const char *alg, *header, *claims, *reason;
	enum jwt_verdict verdict;
} forged[] = {
	/* the algorithm */
	{ ED, "EdDSA", "{\"alg\":\"none\"}", CLAIMS, "the token's algorithm is not taken", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"nOnE\"}", CLAIMS, "the token's algorithm is not taken", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"HS256\"}", CLAIMS, "the token's algorithm is not taken", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"\"}", CLAIMS, "the token's algorithm is not taken", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"eddsa\"}", CLAIMS, "the token's algorithm is not taken", JWT_REFUSED },
	{ ED, "EdDSA", "{}", CLAIMS, "the token is no JWT", JWT_FOREIGN },
	{ ED, "EdDSA", "{\"kid\":\"d1\"}", CLAIMS, "the token names no algorithm", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":null}", CLAIMS, "the token names no algorithm", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":[\"EdDSA\"]}", CLAIMS, "the token names no algorithm", JWT_REFUSED },
	{ RSA_ONE, "RS256", "{\"alg\":\"PS256\",\"kid\":\"r1\"}", CLAIMS, "the token's signature is wrong",
	    JWT_REFUSED },
	{ RSA_ONE, "RS256", "{\"alg\":\"RS512\",\"kid\":\"r1\"}", CLAIMS, "the token's signature is wrong",
	    JWT_REFUSED },
	{ P256, "ES256", "{\"alg\":\"ES384\",\"kid\":\"e1\"}", CLAIMS, "no key is for the token's algorithm",
	    JWT_REFUSED },
	{ RSA_ONE, "RS256", "{\"alg\":\"ES256\",\"kid\":\"r1\"}", CLAIMS, "no key is for the token's algorithm",
	    JWT_REFUSED },
	/* the key */
	{ RSA_ONE, "RS256", "{\"alg\":\"RS256\",\"kid\":\"r2\"}", CLAIMS, "the token's signature is wrong",
	    JWT_REFUSED },
	{ P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"e2\"}", CLAIMS, "the token's signature is wrong", JWT_REFUSED },
	{ P256, "ES256", "{\"alg\":\"ES256\",\"kid\":1}", CLAIMS, "the token's key has no name that is one",
	    JWT_REFUSED },
	{ STRANGER, "ES256", "{\"alg\":\"ES256\"}", CLAIMS, "the token's signature is wrong", JWT_REFUSED },
	{ STRANGER, "ES256", "{\"alg\":\"ES256\",\"kid\":\"e1\"}", CLAIMS, "the token's signature is wrong",
	    JWT_REFUSED },
	{ STRANGER, "ES256", "{\"alg\":\"ES256\",\"kid\":\"x\"}", CLAIMS, "the token's key is not known", JWT_FOREIGN },
	{ P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"E1\"}", CLAIMS, "the token's key is not known", JWT_FOREIGN },
	/* the rest of the header */
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"]}", CLAIMS, "the token asks for an extension",
	    JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"crit\":[]}", CLAIMS, "the token asks for an extension", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"crit\":null}", CLAIMS, "the token asks for an extension", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"typ\":\"logout+jwt\"}", CLAIMS, "the token is of another type",
	    JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"typ\":1}", CLAIMS, "the token is of another type", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}", CLAIMS, "the token's header is malformed",
	    JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"none\",\"alg\":\"EdDSA\"}", CLAIMS, "the token's header is malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"} ", CLAIMS, NULL, JWT_ACCEPTED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}}", CLAIMS, "the token's header is malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\\u0000\"}", CLAIMS, "the token's header is malformed", JWT_REFUSED },
	{ ED, "EdDSA", "[\"EdDSA\"]", CLAIMS, "the token is no JWT", JWT_FOREIGN },
	/* what it says, with the right signature */
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", "", "the token's claims are malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", "[]", "the token's claims are malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", CLAIMS "x", "the token's claims are malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", "{\"email\":\"bob\",\"email\":\"alice@example.org\"}",
	    "the token's claims are malformed", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", "{\"iss\":\"https://evil.example.org\"}", "the token is of another issuer",
	    JWT_FOREIGN },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}", "{}", "the token is of another issuer", JWT_FOREIGN },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}",
	    "{\"iss\":\"https://id.example.org\",\"aud\":\"web\",\"exp\":1700000300,\"email\":\"alice@example.org\"}",
	    "the token is for another audience", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}",
	    "{\"iss\":\"https://id.example.org\",\"aud\":\"mail\",\"exp\":1699990000,\"email\":\"alice@example.org\"}",
	    "the token has expired", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}",
	    "{\"iss\":\"https://id.example.org\",\"aud\":\"mail\",\"email\":\"alice@example.org\"}",
	    "the token never expires", JWT_REFUSED },
	{ ED, "EdDSA", "{\"alg\":\"EdDSA\"}",
	    "{\"iss\":\"https://id.example.org\",\"aud\":\"mail\",\"exp\":1700000300,\"email\":\"bob@example.org\"}",
	    "the token is another user's", JWT_REFUSED },
};

START_TEST(what_is_wrong_with_a_token_is_told)
{
	char *token = jwtbox_token(keys[forged[_i].who], forged[_i].alg, forged[_i].header, forged[_i].claims);

	assert_judged(token, forged[_i].verdict, forged[_i].reason);
	mem_free(token);
}
END_TEST

#define WHOLE "eyJhbGciOiJFZERTQSJ9"        /* {"alg":"EdDSA"} */

static const struct {
	const char *token, *reason;
	enum jwt_verdict verdict;
} texts[] = {
	{ "", "the token is no JWT", JWT_FOREIGN },
	{ ".", "the token is no JWT", JWT_FOREIGN },
	{ "..", "the token is no JWT", JWT_FOREIGN },
	{ "...", "the token is no JWT", JWT_FOREIGN },
	{ "ya29.a0AfH6SMB", "the token is no JWT", JWT_FOREIGN },
	{ "a.b.c", "the token is no JWT", JWT_FOREIGN },
	{ "mF_9.B5f-4.1JqM", "the token is no JWT", JWT_FOREIGN },
	{ WHOLE, "the token is no JWT", JWT_FOREIGN },
	{ WHOLE ".e30", "the token is no JWT", JWT_FOREIGN },
	{ WHOLE ".e30.AA.AA", "the token is no JWT", JWT_FOREIGN },
	{ WHOLE ".e30.AA.AA.AA", "the token is no JWT", JWT_FOREIGN },
	{ " " WHOLE ".e30.AA", "the token is no JWT", JWT_FOREIGN },
	{ "eyJ.e30.AA", "the token is no JWT", JWT_FOREIGN },
	{ "eyJh.e30.AA", "the token's header is malformed", JWT_REFUSED },
	{ WHOLE "=.e30.AA", "the token's header is malformed", JWT_REFUSED },
	{ WHOLE ".e30=.AA", "the token's claims are malformed", JWT_REFUSED },
	{ WHOLE ".e31.AA", "the token's claims are malformed", JWT_REFUSED },
	{ WHOLE ".e3 0.AA", "the token's claims are malformed", JWT_REFUSED },
	{ WHOLE "..AA", "the token's claims are malformed", JWT_REFUSED },
	{ WHOLE ".e30.", "the token is of another issuer", JWT_FOREIGN },
};

START_TEST(what_is_no_jwt_is_for_others)
{
	assert_judged(texts[_i].token, texts[_i].verdict, texts[_i].reason);
}
END_TEST

static const struct {
	const char *tail, *reason;
} tails[] = {
	{ "=", "the token's signature is malformed" }, { "==", "the token's signature is malformed" },
	{ "\n", "the token's signature is malformed" }, { " ", "the token's signature is malformed" },
	{ "AAA", "the token's signature is malformed" }, { "A", "the token's signature is wrong" },
	{ ".", "the token is no JWT" }, { ".AAAA", "the token is no JWT" },
};

START_TEST(nothing_may_follow_a_token)
{
	char *token = jwtbox_token(keys[ED], "EdDSA", "{\"alg\":\"EdDSA\"}", CLAIMS);
	char *longer = mem_printf("%s%s", token, tails[_i].tail);

	assert_judged(token, JWT_ACCEPTED, NULL);
	assert_judged(longer, tails[_i].tail[0] == '.' ? JWT_FOREIGN : JWT_REFUSED, tails[_i].reason);
	mem_free(token);
	mem_free(longer);
}
END_TEST

/* The signature of ES256 is two numbers from 1 to the order of the curve, not more and not less. */
START_TEST(numbers_out_of_range_are_no_signature)
{
	static const unsigned char order[] = {
		0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
	};
	char *token = jwtbox_token(keys[P256], "ES256", "{\"alg\":\"ES256\"}", CLAIMS);
	unsigned char numbers[96] = { 0 };

	for (unsigned which = 0; which < 9; which++) {
		const unsigned char fills[] = { 0x00, 0x01, 0xff };
		char *other;

		memset(numbers, fills[which % 3], sizeof(numbers));
		if (which >= 3)
			memcpy(numbers + (which < 6 ? 0 : 32), order, sizeof(order));
		other = jwtbox_resign(token, numbers, 64);
		assert_judged(other, JWT_REFUSED, "the token's signature is wrong");
		mem_free(other);
	}
	for (size_t len = 0; len <= sizeof(numbers); len++) {
		char *other = jwtbox_resign(token, numbers, len);

		assert_judged(other, JWT_REFUSED, "the token's signature is wrong");
		mem_free(other);
	}
	mem_free(token);
}
END_TEST

/* Whoever takes DER takes several texts for one signature. */
START_TEST(a_signature_in_der_is_none)
{
	unsigned char der[128];
	size_t len = sizeof(der);
	char *token = jwtbox_token(keys[P256], "ES256", "{\"alg\":\"ES256\"}", CLAIMS), *other;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, keys[P256]), 1);
	ck_assert_int_eq(EVP_DigestSign(ctx, der, &len, (unsigned char *)token, (size_t)(strrchr(token, '.') - token)),
	    1);
	other = jwtbox_resign(token, der, len);
	assert_judged(other, JWT_REFUSED, "the token's signature is wrong");
	EVP_MD_CTX_free(ctx);
	mem_free(other);
	mem_free(token);
}
END_TEST

static const struct {
	enum who who;
	const char *alg;
} kinds[] = { { RSA_ONE, "RS256" }, { P256, "ES256" }, { ED, "EdDSA" } };

START_TEST(a_token_cut_or_changed_anywhere_lets_nobody_in)
{
	char *header = mem_printf("{\"alg\":\"%s\",\"kid\":\"%s\"}", kinds[_i].alg, kids[kinds[_i].who]);
	char *token = jwtbox_token(keys[kinds[_i].who], kinds[_i].alg, header, CLAIMS);
	struct token_finding finding;

	assert_judged(token, JWT_ACCEPTED, NULL);
	for (size_t at = 0; at < strlen(token); at++) {
		ck_assert_int_ne(judge(token, at, &finding), JWT_ACCEPTED);
		for (unsigned bit = 0; bit < 8; bit++) {
			token[at] = (char)(token[at] ^ 1 << bit);
			ck_assert_int_ne(judge(token, strlen(token), &finding), JWT_ACCEPTED);
			token[at] = (char)(token[at] ^ 1 << bit);
		}
	}
	assert_judged(token, JWT_ACCEPTED, NULL);
	mem_free(token);
	mem_free(header);
}
END_TEST

/* A token that is good but for a long value in its header or its claims. */
static char *
long_token(bool in_header, char fill, size_t len)
{
	const char *quote = fill == '[' ? "" : "\"";
	char *text = mem_alloc(len + 1), *value, *header, *claims, *token;

	memset(text, fill, len);
	value = mem_printf("%s%s%s", quote, text, quote);
	header = mem_printf("{\"alg\":\"EdDSA\",\"x\":%s}", in_header ? value : "1");
	claims = mem_printf("%.*s,\"x\":%s}", (int)strlen(CLAIMS) - 1, CLAIMS, in_header ? "1" : value);
	token = jwtbox_token(keys[ED], "EdDSA", header, claims);
	mem_free(text);
	mem_free(value);
	mem_free(header);
	mem_free(claims);
	return token;
}

static const struct {
	bool in_header;
	char fill;
	size_t len;
	const char *reason;
} sizes[] = {
	{ true, 'x', JWT_HEADER_MAX - 24, NULL },
	{ true, 'x', JWT_HEADER_MAX, "the token's header is malformed" },
	{ true, '[', JWT_HEADER_MAX - 24, "the token's header is malformed" },
	{ false, 'x', 11000, NULL },
	{ false, '[', 11000, "the token's claims are malformed" },
	{ false, 'x', JWT_MAX, "the token is too long" },
};

START_TEST(a_token_has_limits)
{
	char *token = long_token(sizes[_i].in_header, sizes[_i].fill, sizes[_i].len);

	assert_judged(token, sizes[_i].reason == NULL ? JWT_ACCEPTED : JWT_REFUSED, sizes[_i].reason);
	mem_free(token);
}
END_TEST

/* Who names no key has few of them tried: what a forged token costs is bounded. */
START_TEST(a_bounded_number_of_keys_is_tried)
{
	enum { MANY = JWT_TRIES_MAX + 1 };
	EVP_PKEY *many[MANY];
	char *names[MANY], *anonymous, *named;

	for (size_t i = 0; i < MANY; i++) {
		many[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		names[i] = mem_printf("%zu", i);
	}
	jwks_free(&set);
	set = publish(many, MANY, (const char *const *)names);
	anonymous = jwtbox_token(many[MANY - 1], "EdDSA", "{\"alg\":\"EdDSA\"}", CLAIMS);
	named = jwtbox_token(many[MANY - 1], "EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"16\"}", CLAIMS);
	assert_judged(anonymous, JWT_REFUSED, "the token names no key, and there are too many to try");
	assert_judged(named, JWT_ACCEPTED, NULL);
	mem_free(anonymous);
	anonymous = jwtbox_token(many[MANY - 2], "EdDSA", "{\"alg\":\"EdDSA\"}", CLAIMS);
	assert_judged(anonymous, JWT_ACCEPTED, NULL);
	mem_free(anonymous);
	mem_free(named);
	for (size_t i = 0; i < MANY; i++) {
		EVP_PKEY_free(many[i]);
		mem_free(names[i]);
	}
}
END_TEST

Suite *
jwt_suite(void)
{
	Suite *suite = suite_create("jwt");
	TCase *tcase = tcase_create("jwt");

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, open_issuer, close_issuer);
	tcase_add_loop_test(tcase, who_brings_a_token_of_the_issuer_is_let_in, 0, UNIT_COUNT(goods));
	tcase_add_loop_test(tcase, what_is_wrong_with_a_token_is_told, 0, UNIT_COUNT(forged));
	tcase_add_loop_test(tcase, what_is_no_jwt_is_for_others, 0, UNIT_COUNT(texts));
	tcase_add_loop_test(tcase, nothing_may_follow_a_token, 0, UNIT_COUNT(tails));
	tcase_add_test(tcase, numbers_out_of_range_are_no_signature);
	tcase_add_test(tcase, a_signature_in_der_is_none);
	tcase_add_loop_test(tcase, a_token_cut_or_changed_anywhere_lets_nobody_in, 0, UNIT_COUNT(kinds));
	tcase_add_loop_test(tcase, a_token_has_limits, 0, UNIT_COUNT(sizes));
	tcase_add_test(tcase, a_bounded_number_of_keys_is_tried);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "worker/helper/jwks.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "test/unit/unit.h"

/* RFC 7515 appendices A.2 and A.3, RFC 8037 appendix A.2. */
#define RSA_N \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF" \
	"d2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo" \
	"7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkM" \
	"Ls91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

#define RSA_KEY "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_KEY "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define ED_KEY "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""

static char heard[1024];

static void
hear(void *ctx, size_t number, const char *why)
{
	size_t len = strlen(heard);

	(void)ctx;
	snprintf(heard + len, sizeof(heard) - len, "%s%zu: %s", len > 0 ? "; " : "", number, why);
}

static const char *
read_set(struct jwks **setp, const char *text)
{
	const char *why;

	heard[0] = '\0';
	why = jwks_new(setp, text, strlen(text), hear, NULL);
	ck_assert((why == NULL) == (*setp != NULL));
	return why;
}

static struct jwks *
set_of(const char *text)
{
	struct jwks *set;
	const char *why = read_set(&set, text);

	ck_assert_msg(why == NULL, "%s: %s", text, why);
	ck_assert_str_eq(heard, "");
	return set;
}

/* A whole signature out of an RFC. */
static const struct {
	const char *alg, *key, *text, *signature;
} vectors[] = {
	{ "RS256", RSA_KEY,
	    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
	    "cnVlfQ",
	    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
	    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
	    "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
	    "cN_IoypGlUPQGe77Rw" },
	{ "ES256", EC_KEY,
	    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
	    "cnVlfQ",
	    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q" },
	{ "EdDSA", ED_KEY,
	    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
	    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg" },
};

START_TEST(signatures_of_the_rfcs_are_good_and_no_others)
{
	char *json = mem_printf("{\"keys\":[{%s}]}", vectors[_i].key), *text = mem_strdup(vectors[_i].text);
	unsigned char signature[256];
	ssize_t len = base64url_decode(signature, vectors[_i].signature, strlen(vectors[_i].signature));
	struct jwa_signed what = { text, strlen(text), signature, (size_t)len };
	const struct jwa *alg = jwa_find(vectors[_i].alg);
	struct jwks *set = set_of(json);
	size_t at = 0;
	EVP_PKEY *key = jwks_next(set, &at, NULL, alg);

	ck_assert_ptr_nonnull(key);
	ck_assert(jwa_verify(alg, key, &what));
	signature[len / 2] ^= 1;
	ck_assert(!jwa_verify(alg, key, &what));
	signature[len / 2] ^= 1;
	text[0] ^= 1;
	ck_assert(!jwa_verify(alg, key, &what));
	text[0] ^= 1;
	what.signature_len--;
	ck_assert(!jwa_verify(alg, key, &what));
	what.signature_len = 0;
	ck_assert(!jwa_verify(alg, key, &what));
	jwks_free(&set);
	mem_free(json);
	mem_free(text);
}
END_TEST

/* Each stands beside the Ed25519 key, and is skipped with these words; "": without any. */
static const struct {
	const char *key, *why;
} skipped[] = {
	{ "{\"use\":\"enc\"," RSA_KEY "}", "" },
	{ "{\"use\":1," RSA_KEY "}", "" },
	{ "{\"use\":\"enc\",\"alg\":\"RSA-OAEP\"," RSA_KEY "}", "" },
	{ "{\"key_ops\":[\"sign\",1]," RSA_KEY "}", "" },
	{ "{\"key_ops\":[]," RSA_KEY "}", "" },
	{ "{\"key_ops\":\"verify\"," RSA_KEY "}", "" },
	{ "7", "1: it is no object" },
	{ "null", "1: it is no object" },
	{ "[]", "1: it is no object" },
	{ "{}", "1: unknown \"kty\"" },
	{ "{\"kty\":\"rsa\"}", "1: unknown \"kty\"" },
	{ "{\"kty\":[]}", "1: unknown \"kty\"" },
	{ "{\"kty\":\"oct\",\"k\":\"AAAA\"}", "1: a shared secret is no public key" },
	{ "{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}", "1: unknown \"alg\"" },
	{ "{\"alg\":\"none\"," RSA_KEY "}", "1: unknown \"alg\"" },
	{ "{\"alg\":\"RS1\"," RSA_KEY "}", "1: unknown \"alg\"" },
	{ "{\"alg\":256," RSA_KEY "}", "1: unknown \"alg\"" },
	{ "{\"alg\":\"ES256\"," RSA_KEY "}", "1: \"alg\" is for keys of another type" },
	{ "{\"alg\":\"ES384\"," EC_KEY "}", "1: \"alg\" is for keys of another type" },
	{ "{\"kid\":1," RSA_KEY "}", "1: \"kid\" is no string" },
	/* RSA */
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", "1: \"n\" or \"e\" of an RSA key is missing or invalid" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":65537}",
	    "1: \"n\" or \"e\" of an RSA key is missing or invalid" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}", "1: \"n\" or \"e\" of an RSA key is missing or invalid" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "=\",\"e\":\"AQAB\"}",
	    "1: \"n\" or \"e\" of an RSA key is missing or invalid" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", "1: the RSA key is none" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AA\"}", "1: the RSA key is none" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAA\"}", "1: the RSA key is none" },
	{ "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"" RSA_N "\"}", "1: the RSA key is none" },
	{ "{\"kty\":\"RSA\",\"n\":\"" EC_X "\",\"e\":\"AQAB\"}", "1: the RSA key is too short" },
	{ "{\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}", "1: the RSA key is too short" },
	/* EC */
	{ "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}",
	    "1: unknown \"crv\" of an EC key" },
	{ "{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "1: unknown \"crv\" of an EC key" },
	{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
	    "1: \"x\" or \"y\" of an EC key is missing or invalid" },
	{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"AAAA\"}",
	    "1: \"x\" or \"y\" of an EC key is missing or invalid" },
	{ "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}",
	    "1: \"x\" or \"y\" of an EC key is missing or invalid" },
	{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}",
	    "1: the point of the EC key is not on its curve" },
	{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
	    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", "1: the point of the EC key is not on its curve" },
	/* OKP */
	{ "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}", "1: unknown \"crv\" of an OKP key" },
	{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "1: \"x\" of an OKP key is missing or invalid" },
	{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "1: \"x\" of an OKP key is missing or invalid" },
};

START_TEST(a_key_that_cannot_be_used_is_skipped_and_hides_no_other)
{
	char *json = mem_printf("{\"keys\":[%s,{" ED_KEY "}]}", skipped[_i].key);
	struct jwks *set;

	ck_assert_ptr_null(read_set(&set, json));
	ck_assert_str_eq(heard, skipped[_i].why);
	ck_assert_uint_eq(jwks_count(set), 1);
	jwks_free(&set);
	mem_free(json);
}
END_TEST

START_TEST(a_private_half_is_spoken_of)
{
	struct jwks *set;

	ck_assert_ptr_null(
	    read_set(&set, "{\"keys\":[{" ED_KEY ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}]}"));
	ck_assert_str_eq(heard, "1: its private half stands there too");
	ck_assert_uint_eq(jwks_count(set), 1);
	jwks_free(&set);
}
END_TEST

static const struct {
	const char *text, *why;
} no_sets[] = {
	{ "", "not a JSON object" },
	{ "-----BEGIN PUBLIC KEY-----", "not a JSON object" },
	{ "[{" ED_KEY "}]", "not a JSON object" },
	{ "{\"keys\":[{" ED_KEY "}]} x", "not a JSON object" },
	{ "{\"keys\":[{" ED_KEY ",\"x\":\"\"}]}", "not a JSON object" },
	{ "{" ED_KEY "}", "no array \"keys\"" },
	{ "{\"keys\":{" ED_KEY "}}", "no array \"keys\"" },
	{ "{\"keys\":[]}", "no key that can be used" },
	{ "{\"keys\":[{\"use\":\"enc\"," ED_KEY "}]}", "no key that can be used" },
};

START_TEST(a_set_without_a_key_is_none)
{
	struct jwks *set;

	ck_assert_str_eq(read_set(&set, no_sets[_i].text), no_sets[_i].why);
}
END_TEST

START_TEST(a_set_has_limits)
{
	char *text = mem_alloc(JWKS_MAX + 2);
	struct jwks *set;
	size_t len = (size_t)snprintf(text, JWKS_MAX, "{\"keys\":[{" ED_KEY "}]}");

	memset(text + len, ' ', JWKS_MAX + 1 - len);
	ck_assert_str_eq(read_set(&set, text), "not a JSON object");
	text[JWKS_MAX] = '\0';
	ck_assert_ptr_null(read_set(&set, text));
	jwks_free(&set);
	len = (size_t)snprintf(text, JWKS_MAX, "{\"keys\":[");
	for (size_t i = 0; i < JWKS_KEYS_MAX + 1; i++)
		len += (size_t)snprintf(text + len, JWKS_MAX - len, "%s1", i > 0 ? "," : "");
	snprintf(text + len, JWKS_MAX - len, "]}");
	ck_assert_str_eq(read_set(&set, text), "too many keys");
	mem_free(text);
}
END_TEST

/* How many keys of this set are tried for a token. */
static const struct {
	const char *kid, *alg;
	unsigned count;
	bool is_known;
} choices[] = {
	{ NULL, "RS256", 1, true }, { NULL, "RS384", 2, true }, { NULL, "PS512", 1, true },
	{ NULL, "ES256", 2, true }, { NULL, "ES384", 0, true }, { NULL, "EdDSA", 1, true },
	{ "r", "RS256", 0, true }, { "r", "RS384", 1, true },
	{ "same", "RS256", 1, true }, { "same", "ES256", 1, true }, { "same", "EdDSA", 0, true },
	{ "d", "EdDSA", 1, true }, { "d", "RS256", 0, true },
	{ "e", "ES256", 0, false }, { "", "ES256", 0, false }, { "SAME", "RS256", 0, false },
};

START_TEST(name_and_algorithm_choose_the_keys)
{
	struct jwks *set = set_of("{\"keys\":["
	    "{\"kid\":\"r\",\"alg\":\"RS384\"," RSA_KEY "}," "{\"kid\":\"same\",\"use\":\"sig\"," RSA_KEY "},"
	    "{\"kid\":\"same\",\"key_ops\":[\"sign\",\"verify\"]," EC_KEY "}," "{\"kid\":\"other\",\"alg\":\"ES256\"," EC_KEY "},"
	    "{\"kid\":\"d\",\"alg\":\"Ed25519\"," ED_KEY "}]}");
	unsigned count = 0;

	for (size_t at = 0; jwks_next(set, &at, choices[_i].kid, jwa_find(choices[_i].alg)) != NULL;)
		count++;
	ck_assert_uint_eq(count, choices[_i].count);
	ck_assert(jwks_has(set, choices[_i].kid) == choices[_i].is_known);
	jwks_free(&set);
}
END_TEST

START_TEST(a_key_without_a_name_may_be_any)
{
	struct jwks *set = set_of("{\"keys\":[{" ED_KEY "},{\"kid\":\"r\"," RSA_KEY "}]}");
	size_t at = 0;

	ck_assert(jwks_has(set, "whatever"));
	ck_assert_ptr_nonnull(jwks_next(set, &at, "whatever", jwa_find("EdDSA")));
	ck_assert_ptr_null(jwks_next(set, &at, "whatever", jwa_find("RS256")));
	jwks_free(&set);
}
END_TEST

START_TEST(a_set_cut_anywhere_is_none)
{
	static const char text[] = "{\"keys\":[{\"kid\":\"d\"," ED_KEY "},{" EC_KEY "}]}";

	for (size_t len = 0; len < strlen(text); len++) {
		char *cut = mem_dup(text, len);
		struct jwks *set;

		ck_assert_ptr_nonnull(jwks_new(&set, cut, len, hear, NULL));
		mem_free(cut);
	}
}
END_TEST

static const char *const no_algs[] = {
	"none", "None", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "RS1", "ES256K", "Ed448", "eddsa", "RSA-OAEP", "dir",
};

START_TEST(what_anybody_could_forge_is_no_algorithm)
{
	ck_assert_ptr_null(jwa_find(no_algs[_i]));
}
END_TEST

Suite *
jwks_suite(void)
{
	Suite *suite = suite_create("jwks");
	TCase *tcase = tcase_create("jwks");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, signatures_of_the_rfcs_are_good_and_no_others, 0, UNIT_COUNT(vectors));
	tcase_add_loop_test(tcase, a_key_that_cannot_be_used_is_skipped_and_hides_no_other, 0, UNIT_COUNT(skipped));
	tcase_add_test(tcase, a_private_half_is_spoken_of);
	tcase_add_loop_test(tcase, a_set_without_a_key_is_none, 0, UNIT_COUNT(no_sets));
	tcase_add_test(tcase, a_set_has_limits);
	tcase_add_loop_test(tcase, name_and_algorithm_choose_the_keys, 0, UNIT_COUNT(choices));
	tcase_add_test(tcase, a_key_without_a_name_may_be_any);
	tcase_add_test(tcase, a_set_cut_anywhere_is_none);
	tcase_add_loop_test(tcase, what_anybody_could_forge_is_no_algorithm, 0, UNIT_COUNT(no_algs));
	suite_add_tcase(suite, tcase);
	return suite;
}

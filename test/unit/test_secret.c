#include "worker/helper/secret.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define PASSWORD "Geheim 1"

static struct secret
parsed(const char *text)
{
	struct secret s;
	const char *why = secret_parse(&s, text, strlen(text));

	ck_assert_msg(why == NULL, "%s: %s", text, why);
	return s;
}

static bool
fits(const char *stored, const char *pass)
{
	struct secret s = parsed(stored);

	return secret_fits(&s, pass, strlen(pass));
}

/* What doveadm pw, openssl passwd, crypt(3) of Python and Perl made of PASSWORD. */
static const char *const vectors[] = {
	"{PLAIN}Geheim 1",
	"{plain}Geheim 1",
	"{CLEARTEXT}Geheim 1",
	"{PLAIN.B64}R2VoZWltIDE=",
	"{PLAIN.base64}R2VoZWltIDE=",
	"{PLAIN.HEX}47656865696d2031",
	"{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA=",
	"{SHA1}1ykxWx6qUDosAdXZ7LHE9/yCVAA=",
	"{SSHA}6Utjdh/XXmxKJ6/yOz6IrpcpMhgBa1aS",
	"{SSHA.HEX}13dfe32c5704e8226328958c44c6e923378fea8d0cee6cf9",
	"{SHA256}WRd8otQxbLCExWFQ9jk1K/Kk+8P28sRjrZbzL+Gegig=",
	"{SHA256.b64}WRd8otQxbLCExWFQ9jk1K/Kk+8P28sRjrZbzL+Gegig=",
	"{SHA256}59177ca2d4316cb084c56150f639352bf2a4fbc3f6f2c463ad96f32fe19e8228",
	"{SHA256.hex}59177CA2D4316CB084C56150F639352BF2A4FBC3F6F2C463AD96F32FE19E8228",
	"{SSHA256}pane4hypTnnKkvpW7l5Qweqfxb94ZIYf8vztDZIcZkzKn0LM",
	"{SSHA256.HEX}11d42396baab651858f19a5d87945aa759b828be0643c56720d5ded6dc0301bb7df1b7c2",
	"{SHA512}l/ojLqZLg5lkPNSXFZxSTN77iK9MSDYBjOEAPYDlz/8I4YQAZNK+BTjknC9Fk8WcwABRaVUPvCqbXeO9gJ9+5w==",
	"{SSHA512}KiRz+00fsQo8a5+Zj55XbeXZCvtkvwosiuBcQOj6vplMfknRvPnzJ8QSy+lvMpBponQd8bo4Lu6GhqYeQWqER1poAe0=",
	"{SSHA512.B64}nferNpntzNv8quEKs9l4AtoCPVthc+pCZcZOqWNemGd3qJkOtjcqGNKtEyjUbwCouA3oVFjHr/8ro9xec1fSLOJe6XQ=",
	"{SMD5}7uL82u2EpCB4RZU8BB0VZMv7xOc=",
	"{LDAP-MD5}jqBKSL5tBe0VurbG4hfY7w==",
	"{PLAIN-MD5}8ea04a48be6d05ed15bab6c6e217d8ef",
	"{PLAIN-MD5.B64}jqBKSL5tBe0VurbG4hfY7w==",
	"{CRYPT}$2y$05$6KrPVW//994V6xyLuVKIsOQDoteh8NhPnY067p4bQghbTKqLegldq",
	"{BLF-CRYPT}$2y$05$.a.KAHAEQSqxLl7gHLsmj.bbL6K9sxaozHgELDa93Iq0LTQPQjZe2",
	"$2b$04$07slaAT9uqOUDFsJD2Z4GO2C2iXi1vCEhgnhDSRXfn2m8AWjl7MY6",
	"{SHA512-CRYPT}$6$PYSKcCuBclVULvNY$Genw3fRS.zAsMpXud7gtm02ef1nSbie1wyJwBE8Op23z0r/qfUlPaUmyXQ.se9GU8ScMGyx."
	"1DjMWa/.d2KR60",
	("$6$rounds=1000$wML.llVEV8uVSO7x$4nRntOeFgts7pW.hu5op9dl4GMhIpy2OwPOQUQcstD20JxKNaKlrlIyJ0xKU5XxzipkXJ1ZhGzhXSPLR"
	 "UAXka0"),
	"{SHA256-CRYPT}$5$rhoqALpi11ZHo9OR$nitUv81tX.FqK3A78ZRz8yMTCsZCs1iLetgvr7PIQj1",
	"$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D",
	"{MD5-CRYPT}$1$8cdNOTch$qcgQ5cgrGenLLv5i0QuzA0",
	"{MD5}$1$abcdefgh$aW6iRuYrY1n4NZiEWuhgk1",
	"{DES-CRYPT}D.NGOrA2ihTyk",
	"abIXxYUB/1USI",
	"_J9..saltMQSujJfhj/.",
	"{CRYPT}$y$j9T$saltsaltsalt$nxxw0EUIxyJph0K4vmRitIlSY4Yk3t7ZXuAQ/DD6JN2",
	"$gy$j9T$saltsaltsalt$Tedv0Uyo1audZqpUXe0OJB3v5./YQmCVXQEUZPDCpO9",
	"$7$CU..../....saltsaltsalt$aMv3Lg0MfbrHyi4zPafS6NIxnEzX5DwWIiA.1p2w/OD",
	"$sha1$1000$saltsalt$q.LBKB6qeyu6Wb0RA7wOp26cp.RB",
	"{CRYPT.B64}JDJ5JDA1JFdibEVyMHluamF3NnJnNEtJNlpjTi42MU8xRXBJeWNQdXZjU1J6M09rWXoyTjFzYVgvSVR5",
	"{CRYPT.HEX}243279243035247033516e317777435441524c6c4b6a543271364172654242735a68582e6a7a6635447262726c4238424332776c31"
	"53416178356143",
};

START_TEST(the_password_fits_and_no_other)
{
	const char *stored = vectors[_i];

	ck_assert_msg(fits(stored, PASSWORD), "%s", stored);
	ck_assert_msg(!fits(stored, "Geheim 2"), "%s", stored);
	ck_assert_msg(!fits(stored, "Geheim"), "%s", stored);
	ck_assert_msg(!fits(stored, ""), "%s", stored);
}
END_TEST

static const char *const locked[] = { "", "*", "!", "!$6$x$y", "!!", "{PLAIN}", "{CRYPT}", "{SHA256}", "{PLAIN.b64}" };

START_TEST(a_locked_secret_fits_nothing)
{
	struct secret s = parsed(locked[_i]);

	ck_assert(!secret_fits(&s, "", 0));
	ck_assert(!secret_fits(&s, locked[_i], strlen(locked[_i])));
	ck_assert(!secret_is_plain(&s));
	ck_assert_uint_eq(secret_cost(&s), 0);
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{ "password", "not a hash of this password scheme" },
	{ "x", "not a hash of this password scheme" },
	{ "{PLAIN", "password scheme without \"}\"" },
	{ "{}x", "unknown password scheme" },
	{ "{ROT13}x", "unknown password scheme" },
	{ "{.b64}eA==", "unknown password scheme" },
	{ "{PLAIN.uu}x", "unknown encoding of the password" },
	{ "{PLAIN.}x", "unknown encoding of the password" },
	{ "{PLAIN.b64}eA=", "password is not in its encoding" },
	{ "{PLAIN.hex}4", "password is not in its encoding" },
	{ "{PLAIN.hex}4g", "password is not in its encoding" },
	{ "{PLAIN.b64}DQo=", "CR, LF or NUL in the password" },
	{ "{PLAIN.hex}4100", "CR, LF or NUL in the password" },
	{ "{SHA256}1ykxWx6qUDosAdXZ7LHE9/yCVAA=", "password digest of a wrong length" },
	{ "{SSHA256}1ykxWx6qUDosAdXZ7LHE9/yCVAA=", "password digest of a wrong length" },
	{ "{SHA}not base64", "password is not in its encoding" },
	{ "{BLF-CRYPT}$6$abcdefgh$TrLVsrn654cM", "not a hash of this password scheme" },
	{ "{SHA512-CRYPT}$5$abcdefgh$x", "not a hash of this password scheme" },
	{ "{CRYPT}$nonsense$abc$def", "a password hash that crypt(3) does not know" },
	{ "{CRYPT}abcdefghijklm:", "not a hash of this password scheme" },
};

START_TEST(a_secret_that_cannot_be_verified_is_refused)
{
	struct secret s;
	const char *why = secret_parse(&s, bad[_i].text, strlen(bad[_i].text));

	ck_assert_msg(why != NULL, "%s was taken", bad[_i].text);
	ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

START_TEST(a_secret_cut_anywhere_is_read_within_its_bounds)
{
	for (size_t len = 0; len <= strlen(vectors[_i]); len++) {
		char *copy = mem_dup(vectors[_i], len);         /* so that a sanitizer sees a step outside */
		struct secret s;

		if (secret_parse(&s, copy, len) == NULL)
			secret_cost(&s);
		mem_free(copy);
	}
}
END_TEST

START_TEST(passwords_over_the_limit_and_with_nul_never_fit)
{
	char *pass = mem_alloc(SECRET_MAX + 2), *text;
	struct secret s;

	memset(pass, 'a', SECRET_MAX);
	text = mem_printf("{PLAIN}%s", pass);
	s = parsed(text);
	ck_assert(secret_fits(&s, pass, SECRET_MAX));
	pass[SECRET_MAX] = 'a';
	ck_assert(!secret_fits(&s, pass, SECRET_MAX + 1));
	mem_free(text);
	text = mem_printf("{PLAIN}%s", pass);
	ck_assert_str_eq(secret_parse(&s, text, strlen(text)), "password too long");
	mem_free(text);
	s = parsed("{PLAIN}ab");
	ck_assert(!secret_fits(&s, "ab\0c", 4));
	s = parsed("$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D");
	ck_assert(!secret_fits(&s, PASSWORD "\0", 9));
	mem_free(pass);
}
END_TEST

START_TEST(only_a_plain_secret_is_revealed)
{
	struct secret plain = parsed("{PLAIN.b64}R2VoZWltIDE="), hashed = parsed("{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA=");
	char *text = secret_reveal(&plain);

	ck_assert_str_eq(text, PASSWORD);
	ck_assert_ptr_null(secret_reveal(&hashed));
	mem_free_secret(&text);
}
END_TEST

START_TEST(challenges_are_answered_as_the_rfcs_show)
{
	struct secret apop = parsed("{PLAIN}tanstaaf"), cram = parsed("{PLAIN}tanstaaftanstaaf");
	const char *apop_salt = "<1896.697170952@dbc.mtview.ca.us>";
	const char *cram_salt = "<1896.697170952@postoffice.reston.mci.net>";

	ck_assert(secret_answers_apop(&apop, apop_salt, "c4c9334bac560ecc979e58001b3e22fb"));
	ck_assert(secret_answers_apop(&apop, apop_salt, "C4C9334BAC560ECC979E58001B3E22FB"));
	ck_assert(!secret_answers_apop(&apop, "<1896.697170953@dbc.mtview.ca.us>", "c4c9334bac560ecc979e58001b3e22fb"));
	ck_assert(!secret_answers_apop(&cram, apop_salt, "c4c9334bac560ecc979e58001b3e22fb"));
	ck_assert(secret_answers_cram_md5(&cram, cram_salt, "b913a602c7eda7a495b4e6e7334d3890"));
	ck_assert(!secret_answers_cram_md5(&apop, cram_salt, "b913a602c7eda7a495b4e6e7334d3890"));
	ck_assert(!secret_answers_cram_md5(&cram, cram_salt, "b913a602c7eda7a495b4e6e7334d389"));
	ck_assert(!secret_answers_cram_md5(&cram, cram_salt, "b913a602c7eda7a495b4e6e7334d38900"));
	ck_assert(!secret_answers_cram_md5(&cram, cram_salt, "x913a602c7eda7a495b4e6e7334d3890"));
	ck_assert(!secret_answers_cram_md5(&cram, cram_salt, ""));
}
END_TEST

START_TEST(a_secret_that_is_not_plain_answers_no_challenge)
{
	struct secret hashed = parsed("{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA="), nobody = parsed("*");
	/* MD5("salt") and HMAC-MD5("", "salt"): what an empty password would say */
	const char *apop = "ceb20772e0c9d240c75eb26b0e37abee", *cram = "9d3096d7e53183ab2d09584b398cd147";

	ck_assert(!secret_answers_apop(&hashed, "salt", apop));
	ck_assert(!secret_answers_apop(&nobody, "salt", apop));
	ck_assert(!secret_answers_cram_md5(&hashed, "salt", cram));
	ck_assert(!secret_answers_cram_md5(&nobody, "salt", cram));
}
END_TEST

/* From cheap to costly. */
static const char *const by_cost[] = {
	"*",
	"{PLAIN}x",
	"{MD5-CRYPT}$1$8cdNOTch$qcgQ5cgrGenLLv5i0QuzA0",
	("$6$rounds=1000$wML.llVEV8uVSO7x$4nRntOeFgts7pW.hu5op9dl4GMhIpy2OwPOQUQcstD20JxKNaKlrlIyJ0xKU5XxzipkXJ1ZhGzhXSPLR"
	 "UAXka0"),
	"$2b$04$07slaAT9uqOUDFsJD2Z4GO2C2iXi1vCEhgnhDSRXfn2m8AWjl7MY6",
	"{BLF-CRYPT}$2y$05$.a.KAHAEQSqxLl7gHLsmj.bbL6K9sxaozHgELDa93Iq0LTQPQjZe2",
	"$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D",
	"$y$j9T$saltsaltsalt$nxxw0EUIxyJph0K4vmRitIlSY4Yk3t7ZXuAQ/DD6JN2",
	"$2b$12$07slaAT9uqOUDFsJD2Z4GO2C2iXi1vCEhgnhDSRXfn2m8AWjl7MY6",
};

START_TEST(the_cost_of_a_hash_grows_with_its_setting)
{
	uint64_t last = 0;

	for (size_t i = 0; i < sizeof(by_cost) / sizeof(by_cost[0]); i++) {
		struct secret s = parsed(by_cost[i]);

		ck_assert_msg(i == 0 || secret_cost(&s) > last, "%s", by_cost[i]);
		last = secret_cost(&s);
	}
}
END_TEST

Suite *
secret_suite(void)
{
	Suite *suite = suite_create("secret");
	TCase *tcase = tcase_create("secret");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, the_password_fits_and_no_other, 0, UNIT_COUNT(vectors));
	tcase_add_loop_test(tcase, a_locked_secret_fits_nothing, 0, UNIT_COUNT(locked));
	tcase_add_loop_test(tcase, a_secret_that_cannot_be_verified_is_refused, 0, UNIT_COUNT(bad));
	tcase_add_loop_test(tcase, a_secret_cut_anywhere_is_read_within_its_bounds, 0, UNIT_COUNT(vectors));
	tcase_add_test(tcase, passwords_over_the_limit_and_with_nul_never_fit);
	tcase_add_test(tcase, only_a_plain_secret_is_revealed);
	tcase_add_test(tcase, challenges_are_answered_as_the_rfcs_show);
	tcase_add_test(tcase, a_secret_that_is_not_plain_answers_no_challenge);
	tcase_add_test(tcase, the_cost_of_a_hash_grows_with_its_setting);
	suite_add_tcase(suite, tcase);
	return suite;
}

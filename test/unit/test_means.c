#include "worker/means.h"

#include <string.h>

#include "test/unit/unit.h"

static struct conf_source http = { .kind = SOURCE_HTTP }, jwt = { .kind = SOURCE_JWT };

#define MASTER .master_user = "m", .master_pass = "mp"
#define OWN NULL        /* the source put nothing in the password's place */

static const struct {
	struct server server;
	enum method method;
	const struct conf_source *source;
	const char *returned;           /* the answer's password */
	/* what is shown: */
	enum proxy_auth how;
	const char *user, *pass, *authz;
	bool is_token, lacks;
} cases[] = {
	{ { .protocol = PROTOCOL_IMAP }, METHOD_PLAIN, &http, OWN, PROXY_AUTH_AUTO, "joe", "c", NULL, false, false },
	{ { .protocol = PROTOCOL_IMAP }, METHOD_PLAIN, &http, "r", PROXY_AUTH_AUTO, "joe", "r", NULL, false, false },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_PLAIN, &http, OWN, PROXY_AUTH_AUTO, "joe", "c", NULL, false,
	    false },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .master_always = true }, METHOD_PLAIN, &http, "r",
	    PROXY_AUTH_PLAIN, "m", "mp", "joe", false, false },
	/* a digest or a certificate is nothing that a backend could be shown */
	{ { .protocol = PROTOCOL_IMAP }, METHOD_CRAM_MD5, &http, OWN, PROXY_AUTH_AUTO, "joe", NULL, NULL, false, true },
	{ { .protocol = PROTOCOL_IMAP }, METHOD_CRAM_MD5, &http, "r", PROXY_AUTH_AUTO, "joe", "r", NULL, false, false },
	{ { .protocol = PROTOCOL_POP3, MASTER }, METHOD_APOP, &http, OWN, PROXY_AUTH_PLAIN, "m", "mp", "joe", false,
	    false },
	{ { .protocol = PROTOCOL_POP3, MASTER }, METHOD_APOP, &http, "r", PROXY_AUTH_AUTO, "joe", "r", NULL, false,
	    false },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_EXTERNAL, &http, OWN, PROXY_AUTH_PLAIN, "m", "mp", "joe", false,
	    false },
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_EXTERNAL }, METHOD_CRAM_MD5, &http, OWN,
	    PROXY_AUTH_EXTERNAL, "joe", NULL, NULL, false, false },
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_NONE }, METHOD_PLAIN, &http, OWN,
	    PROXY_AUTH_NONE, "joe", NULL, NULL, false, false },
	/* tokens travel on, unless they were judged here and there is a master user */
	{ { .protocol = PROTOCOL_IMAP }, METHOD_XOAUTH2, &http, OWN, PROXY_AUTH_AUTO, "joe", "c", NULL, true, false },
	{ { .protocol = PROTOCOL_IMAP }, METHOD_XOAUTH2, &jwt, OWN, PROXY_AUTH_AUTO, "joe", "c", NULL, true, false },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_OAUTHBEARER, &jwt, OWN, PROXY_AUTH_PLAIN, "m", "mp", "joe",
	    false, false },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_XOAUTH2, &http, OWN, PROXY_AUTH_AUTO, "joe", "c", NULL, true,
	    false },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .proxy_auth = PROXY_AUTH_XOAUTH2 }, METHOD_XOAUTH2, &jwt, OWN,
	    PROXY_AUTH_XOAUTH2, "joe", "c", NULL, true, false },
	{ { .protocol = PROTOCOL_IMAP }, METHOD_XOAUTH2, &http, "r", PROXY_AUTH_AUTO, "joe", "r", NULL, true, false },
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_PLAIN }, METHOD_XOAUTH2, &http, "r",
	    PROXY_AUTH_PLAIN, "joe", "r", NULL, false, false },
	/* nor is a token a password */
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_PLAIN }, METHOD_XOAUTH2, &http, OWN,
	    PROXY_AUTH_PLAIN, "joe", NULL, NULL, false, true },
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_LOGIN }, METHOD_OAUTHBEARER, &jwt, OWN,
	    PROXY_AUTH_LOGIN, "joe", NULL, NULL, false, true },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .proxy_auth = PROXY_AUTH_PLAIN }, METHOD_XOAUTH2, &http, OWN,
	    PROXY_AUTH_PLAIN, "m", "mp", "joe", false, false },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .proxy_auth = PROXY_AUTH_XOAUTH2 }, METHOD_PLAIN, &http, OWN,
	    PROXY_AUTH_PLAIN, "m", "mp", "joe", false, false },
	/* a password is no token, but a source may have changed it for one */
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_XOAUTH2 }, METHOD_PLAIN, &http, OWN,
	    PROXY_AUTH_XOAUTH2, "joe", NULL, NULL, true, true },
	{ { .protocol = PROTOCOL_IMAP, .proxy_auth = PROXY_AUTH_OAUTHBEARER }, METHOD_PLAIN, &http, "r",
	    PROXY_AUTH_OAUTHBEARER, "joe", "r", NULL, true, false },
	/* SMTP shows nothing unless told to */
	{ { .protocol = PROTOCOL_SMTP, MASTER }, METHOD_CRAM_MD5, &http, OWN, PROXY_AUTH_AUTO, "joe", NULL, NULL, false,
	    false },
	{ { .protocol = PROTOCOL_SMTP, MASTER, .proxy_smtp_auth = true }, METHOD_CRAM_MD5, &http, OWN,
	    PROXY_AUTH_PLAIN, "m", "mp", "joe", false, false },
	{ { .protocol = PROTOCOL_SMTP, .proxy_smtp_auth = true }, METHOD_CRAM_MD5, &http, OWN,
	    PROXY_AUTH_AUTO, "joe", NULL, NULL, false, true },
	{ { .protocol = PROTOCOL_SMTP, .proxy_auth = PROXY_AUTH_LOGIN }, METHOD_PLAIN, &http, OWN,
	    PROXY_AUTH_LOGIN, "joe", "c", NULL, false, false },
	{ { .protocol = PROTOCOL_SMTP, MASTER, .proxy_smtp_auth = true, .master_always = true }, METHOD_NONE, &http, OWN,
	    PROXY_AUTH_AUTO, NULL, NULL, NULL, false, false },
};

START_TEST(what_is_shown_is_somebodys_secret_and_never_a_digest)
{
	static char user[] = "joe", own[] = "c";
	char returned[] = "r";
	const struct server *server = &cases[_i].server;
	const struct auth_answer answer = {
		.source = cases[_i].source, .pass = cases[_i].returned != NULL ? returned : NULL,
	};
	const struct credentials credentials = {
		.method = cases[_i].method, .user = cases[_i].method == METHOD_NONE ? NULL : user,
		.pass = answer.pass != NULL ? returned : own, .replaced = answer.pass != NULL,
	};
	const struct login_means means = means_choose(server, &credentials, &answer);

	ck_assert_int_eq(means.how, cases[_i].how);
	ck_assert_pstr_eq(means.user, cases[_i].user);
	ck_assert_pstr_eq(means.pass, cases[_i].pass);
	ck_assert_pstr_eq(means.authz, cases[_i].authz);
	ck_assert(means.is_token == cases[_i].is_token);
	ck_assert(means.is_own == (means.pass == own));
	ck_assert(means_lack(server, &means) == cases[_i].lacks);
}
END_TEST

START_TEST(a_password_that_the_source_repeats_is_the_clients_own)
{
	static char user[] = "joe", pass[] = "c", repeated[] = "c";
	const struct server *server = &cases[0].server;
	const struct auth_answer answer = { .source = &http, .pass = repeated };
	const struct credentials credentials = { .method = METHOD_PLAIN, .user = user, .pass = pass };

	ck_assert(means_choose(server, &credentials, &answer).is_own);
}
END_TEST

/* What the client has said, where the backend judges it: never a master user, whoever is meant. */
static const struct {
	struct server server;
	enum method method;
	const char *pass;
	bool is_token;
} undecided[] = {
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_PLAIN, "c", false },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .master_always = true }, METHOD_PLAIN, "c", false },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_XOAUTH2, "c", true },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .proxy_auth = PROXY_AUTH_PLAIN }, METHOD_XOAUTH2, NULL, false },
	{ { .protocol = PROTOCOL_IMAP, MASTER, .proxy_auth = PROXY_AUTH_XOAUTH2 }, METHOD_PLAIN, NULL, true },
	{ { .protocol = PROTOCOL_IMAP, MASTER }, METHOD_CRAM_MD5, NULL, false },
	{ { .protocol = PROTOCOL_SMTP, MASTER, .proxy_smtp_auth = true }, METHOD_PLAIN, "c", false },
};

START_TEST(a_backend_that_decides_is_shown_what_the_client_has_shown)
{
	static char user[] = "joe", pass[] = "c", authz[] = "ann";
	static struct conf_source passthrough = { .kind = SOURCE_PASSTHROUGH };
	const struct server *server = &undecided[_i].server;
	const struct auth_answer answer = { .source = &passthrough, .undecided = true };
	const struct credentials credentials = { undecided[_i].method, .user = user, .pass = pass, .authz = authz };
	const struct login_means means = means_choose(server, &credentials, &answer);

	ck_assert_str_eq(means.user, "joe");
	ck_assert_str_eq(means.authz, "ann");
	ck_assert_pstr_eq(means.pass, undecided[_i].pass);
	ck_assert(means.is_token == undecided[_i].is_token);
	ck_assert(means.is_own == (undecided[_i].pass != NULL));
	ck_assert(means_lack(server, &means) == (undecided[_i].pass == NULL));
}
END_TEST

Suite *
means_suite(void)
{
	Suite *suite = suite_create("means");
	TCase *tcase = tcase_create("means");

	tcase_add_loop_test(tcase, what_is_shown_is_somebodys_secret_and_never_a_digest, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_password_that_the_source_repeats_is_the_clients_own);
	tcase_add_loop_test(tcase, a_backend_that_decides_is_shown_what_the_client_has_shown, 0, UNIT_COUNT(undecided));
	suite_add_tcase(suite, tcase);
	return suite;
}

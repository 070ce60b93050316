#include "worker/helper/passwdfile.h"

#include <crypt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"
#include "worker/helper/passwdline.h"

/* Hashes that were computed, and the last one's setting. */
static unsigned hashed;
static char hashed_last[128];

/* Ours comes before that of libcrypt: what a login costs is counted, not timed. */
char *
crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	char *(*real)(const char *, const char *, struct crypt_data *);

	*(void **)&real = dlsym(RTLD_NEXT, "crypt_r");
	hashed++;
	snprintf(hashed_last, sizeof(hashed_last), "%s", setting);
	return real(phrase, setting, data);
}

static void
reset_count(void)
{
	hashed = 0;
	hashed_last[0] = '\0';
}

static struct passwdfile *
table_of(const char *text)
{
	struct passwdfile *table;
	unsigned line;
	const char *why = passwdfile_new(&table, text, strlen(text), &line);

	ck_assert_msg(why == NULL, "line %u: %s", line, why);
	return table;
}

static struct helper_request
login(const char *user, const char *pass)
{
	struct helper_request request = {
		.method = METHOD_PLAIN, .protocol = PROTOCOL_IMAP, .is_last = true,
		.user = user, .secret = pass, .server_name = "mx",
	};

	ck_assert_int_eq(addr_parse(&request.client, "192.0.2.7", 9), 0);
	return request;
}

/* Asks once; "" for an accepted login, else the reason. `out` may be NULL. */
static const char *
ask(const char *text, const struct helper_request *request, struct helper_reply *out)
{
	static char reason[200];
	struct passwdfile *table = table_of(text);
	struct helper_reply reply;

	passwdfile_answer(table, request, &reply);
	passwdfile_free(&table);
	ck_assert((reply.outcome == HELPER_ACCEPTED) == (reply.reason == NULL));
	ck_assert_int_ne(reply.outcome, HELPER_UNAVAILABLE);
	snprintf(reason, sizeof(reason), "%s", reply.reason != NULL ? reply.reason : "");
	ck_assert((reply.outcome == HELPER_UNKNOWN) == (strcmp(reason, "unknown user") == 0));
	if (out != NULL)
		*out = reply;
	else
		helper_reply_reset(&reply);
	return reason;
}

static const char file[] =
    "# our users\n"
    "\n"
    "alice:{PLAIN}sesame:1000:1000:Alice, of Wonderland:/home/alice:/bin/sh:host=192.0.2.1 port=1143\r\n"
    "bob:$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D\n"
    "a name with blanks:{PLAIN}x y:::::\n"
    "#carol:{PLAIN}no\n"
    "Alice:{PLAIN}other case\n"
    "locked:*\n"
    "nothing\n"
    "m\xc3\xbcller@example.org:{PLAIN}p\xc3\xa4ss::::::quota=x userdb_mail=maildir:~/Mail proxy=y destuser=m%%1\n"
    "last:{PLAIN}one";

static const struct {
	const char *user, *pass, *reason;
} logins[] = {
	{ "alice", "sesame", "" },
	{ "Alice", "other case", "" },
	{ "bob", "Geheim 1", "" },
	{ "a name with blanks", "x y", "" },
	{ "m\xc3\xbcller@example.org", "p\xc3\xa4ss", "" },
	{ "last", "one", "" },
	{ "alice", "Sesame", "wrong password" },
	{ "alice", "", "wrong password" },
	{ "bob", "$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D", "wrong password" },
	{ "ALICE", "sesame", "unknown user" },
	{ "alic", "sesame", "unknown user" },
	{ "alice:{PLAIN}sesame", "", "unknown user" },
	{ "alice ", "sesame", "unknown user" },
	{ "#carol", "no", "unknown user" },
	{ "carol", "no", "unknown user" },
	{ "nothing\nm\xc3\xbcller@example.org", "p\xc3\xa4ss", "unknown user" },
	{ "locked", "*", "the user is locked" },
	{ "nothing", "", "the user is locked" },
	{ "", "", "no user name" },
};

START_TEST(who_knows_the_password_is_let_in_and_nobody_else)
{
	struct helper_request request = login(logins[_i].user, logins[_i].pass);

	ck_assert_str_eq(ask(file, &request, NULL), logins[_i].reason);
}
END_TEST

static const struct {
	const char *keys, *user, *pass, *host;
	unsigned port;
	bool is_unix;
} backends[] = {
	{ "", NULL, NULL, NULL, 0, false },
	{ "host=mail.example.org", NULL, NULL, "mail.example.org", 0, false },
	{ "host=192.0.2.1 port=1143", NULL, NULL, "192.0.2.1", 1143, false },
	{ "host=192.0.2.1:1143", NULL, NULL, "192.0.2.1", 1143, false },
	{ "host=192.0.2.1:1143 port=1144", NULL, NULL, "192.0.2.1", 1144, false },
	{ "host=2001:db8::1 port=143", NULL, NULL, "2001:db8::1", 143, false },
	{ "host=[2001:db8::1]:143", NULL, NULL, "2001:db8::1", 143, false },
	{ "host=unix:/run/dovecot/imap", NULL, NULL, "/run/dovecot/imap", 0, true },
	{ "user=u2", "u2", NULL, NULL, 0, false },
	{ "user=u2 destuser=u3", "u3", NULL, NULL, 0, false },
	{ "pass=pa=ss%%word", NULL, "pa=ss%word", NULL, 0, false },
	{ "  pass=x   user=y ", "y", "x", NULL, 0, false },
	{ ":host=not.read", NULL, NULL, NULL, 0, false },
};

static void
assert_text(const char *is, const char *ought)
{
	if (ought == NULL)
		ck_assert_ptr_null(is);
	else
		ck_assert_str_eq(is, ought);
}

START_TEST(keys_say_where_the_mail_lives)
{
	char *text = mem_printf("u:{PLAIN}p:1:1::/home:/bin/sh:%s\n", backends[_i].keys);
	struct helper_request request = login("u", "p");
	struct helper_reply reply;

	ck_assert_str_eq(ask(text, &request, &reply), "");
	assert_text(reply.user, backends[_i].user);
	assert_text(reply.pass, backends[_i].pass);
	assert_text(reply.host, backends[_i].host);
	ck_assert_uint_eq(reply.port, backends[_i].port);
	ck_assert(reply.is_unix == backends[_i].is_unix);
	helper_reply_reset(&reply);
	mem_free(text);
}
END_TEST

static const struct {
	const char *keys, *client, *reason;
	enum protocol protocol;
} places[] = {
	{ "allow_nets=192.0.2.0/24", "192.0.2.7", "", PROTOCOL_IMAP },
	{ "allow_nets=198.51.100.1,192.0.2.7", "192.0.2.7", "", PROTOCOL_IMAP },
	{ "allow_nets=2001:db8::/32,10.0.0.0/8", "2001:db8::9", "", PROTOCOL_IMAP },
	{ "allow_nets=10.0.0.0/8", "192.0.2.7", "client address is not in allow_nets", PROTOCOL_IMAP },
	{ "allow_nets=10.0.0.0/8", NULL, "client address is not in allow_nets", PROTOCOL_IMAP },
	{ "allow_nets=10.0.0.0/8,local", NULL, "", PROTOCOL_IMAP },
	{ "allow_nets=local", "192.0.2.7", "client address is not in allow_nets", PROTOCOL_IMAP },
	{ "protocols=imap,smtp", "192.0.2.7", "", PROTOCOL_SMTP },
	{ "protocols=imap,smtp", "192.0.2.7", "protocol is not in protocols", PROTOCOL_POP3 },
	{ "nologin", "192.0.2.7", "the user has nologin", PROTOCOL_IMAP },
	{ "nologin=y reason=", "192.0.2.7", "the user has nologin", PROTOCOL_IMAP },
};

START_TEST(keys_restrict_who_comes_from_where_by_what)
{
	char *text = mem_printf("u:{PLAIN}p::::::%s", places[_i].keys);
	struct helper_request request = login("u", "p");

	request.protocol = places[_i].protocol;
	if (places[_i].client == NULL)
		request.client = (struct addr){ .family = AF_UNIX };
	else
		ck_assert_int_eq(addr_parse(&request.client, places[_i].client, strlen(places[_i].client)), 0);
	ck_assert_str_eq(ask(text, &request, NULL), places[_i].reason);
	request.secret = "wrong";
	ck_assert_str_eq(ask(text, &request, NULL), "wrong password");
	mem_free(text);
}
END_TEST

START_TEST(the_reason_of_nologin_is_for_who_knows_the_password)
{
	static const char text[] = "u:{PLAIN}p::::::nologin reason=moving_100%%";
	struct helper_request request = login("u", "p");
	struct helper_reply reply;

	ask(text, &request, &reply);
	ck_assert_str_eq(reply.text, "moving_100%");
	helper_reply_reset(&reply);
	request.secret = "wrong";
	ask(text, &request, &reply);
	ck_assert_ptr_null(reply.text);
	helper_reply_reset(&reply);
}
END_TEST

START_TEST(challenges_need_a_plain_secret_and_reveal_it_for_the_backend)
{
	static const char text[] =
	    "tim:{PLAIN}tanstaaftanstaaf\n"
	    "tom:{PLAIN}tanstaaftanstaaf::::::pass=other\n"
	    "sha:{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA=\n";
	struct helper_request request = login("tim", "b913a602c7eda7a495b4e6e7334d3890");
	struct helper_reply reply;

	request.method = METHOD_CRAM_MD5;
	request.salt = "<1896.697170952@postoffice.reston.mci.net>";
	ck_assert_str_eq(ask(text, &request, &reply), "");
	ck_assert_str_eq(reply.pass, "tanstaaftanstaaf");
	helper_reply_reset(&reply);
	request.user = "tom";
	ck_assert_str_eq(ask(text, &request, &reply), "");
	ck_assert_str_eq(reply.pass, "other");
	helper_reply_reset(&reply);
	request.user = "sha";
	ck_assert_str_eq(ask(text, &request, NULL),
	    "the password is stored as a hash, which this method cannot use");
	request.user = "nobody";
	ck_assert_str_eq(ask(text, &request, NULL), "unknown user");
	request.user = "tim";
	request.method = METHOD_APOP;
	ck_assert_str_eq(ask(text, &request, NULL), "wrong password");
	request.salt = request.secret = NULL;
	ck_assert_str_eq(ask(text, &request, NULL), "wrong password");
}
END_TEST

static const struct {
	const char *keys;
	bool said;
	enum proxy_ssl ssl;
} ssls[] = {
	{ "", false, PROXY_SSL_OFF },
	{ "ssl=no", true, PROXY_SSL_OFF },
	{ "ssl=yes", true, PROXY_SSL_ON },
	{ "ssl=any-cert host=192.0.2.1", true, PROXY_SSL_ON },
	{ "ssl=starttls", true, PROXY_SSL_STARTTLS },
	{ "starttls=yes", true, PROXY_SSL_STARTTLS },
	{ "starttls=any-cert", true, PROXY_SSL_STARTTLS },
	{ "ssl=yes starttls=yes", true, PROXY_SSL_STARTTLS },
};

START_TEST(keys_say_what_tls_the_backend_gets)
{
	char *text = mem_printf("u:{PLAIN}p::::::%s\n", ssls[_i].keys);
	struct helper_request request = login("u", "p");
	struct helper_reply reply;

	ck_assert_str_eq(ask(text, &request, &reply), "");
	ck_assert(reply.says_ssl == ssls[_i].said);
	ck_assert_int_eq(reply.ssl, ssls[_i].ssl);
	helper_reply_reset(&reply);
	mem_free(text);
}
END_TEST

START_TEST(what_no_password_proves_is_refused)
{
	struct helper_request request = login("alice", "sesame");
	char *pass = mem_alloc(SECRET_MAX + 2);

	request.method = METHOD_EXTERNAL;
	ck_assert_str_eq(ask(file, &request, NULL), "only passwords are known here");
	request.method = METHOD_NONE;
	ck_assert_str_eq(ask(file, &request, NULL), "only passwords are known here");
	request.method = METHOD_LOGIN;
	ck_assert_str_eq(ask(file, &request, NULL), "");
	request.authz = "bob";
	ck_assert_str_eq(ask(file, &request, NULL), "nobody may act for another user");
	request.authz = NULL;
	memset(pass, 'x', SECRET_MAX + 1);
	request.secret = pass;
	ck_assert_str_eq(ask(file, &request, NULL), "password too long");
	request.secret = NULL;
	ck_assert_str_eq(ask(file, &request, NULL), "wrong password");
	mem_free(pass);
}
END_TEST

#define CHEAP "$2b$04$07slaAT9uqOUDFsJD2Z4GO2C2iXi1vCEhgnhDSRXfn2m8AWjl7MY6"
#define COSTLY "$2y$05$.a.KAHAEQSqxLl7gHLsmj.bbL6K9sxaozHgELDa93Iq0LTQPQjZe2"

static const struct {
	const char *user, *pass, *last;
	unsigned hashes;
} costs[] = {
	{ "nobody", "Geheim 1", COSTLY, 1 },
	{ "locked", "Geheim 1", COSTLY, 1 },
	{ "plain", "wrong", COSTLY, 1 },
	{ "cheap", "wrong", COSTLY, 2 },
	{ "costly", "wrong", COSTLY, 1 },
	{ "costly", "Geheim 1", COSTLY, 1 },
	{ "cheap", "Geheim 1", CHEAP, 1 },
	{ "plain", "x", "", 0 },
};

START_TEST(whoever_is_refused_has_cost_the_costliest_hash)
{
	struct helper_request request = login(costs[_i].user, costs[_i].pass);

	ask("plain:{PLAIN}x\nlocked:*\ncheap:" CHEAP "\ncostly:" COSTLY "\n", &request, NULL);
	ck_assert_uint_eq(hashed, costs[_i].hashes);
	ck_assert_str_eq(hashed_last, costs[_i].last);
}
END_TEST

START_TEST(an_unknown_user_whom_another_source_may_know_costs_nothing)
{
	struct helper_request request = login("nobody", "Geheim 1");

	request.is_last = false;
	ck_assert_str_eq(ask("costly:" COSTLY "\n", &request, NULL), "unknown user");
	ck_assert_uint_eq(hashed, 0);
	request.user = "costly";
	request.secret = "wrong";
	ck_assert_str_eq(ask("costly:" COSTLY "\n", &request, NULL), "wrong password");
	ck_assert_uint_eq(hashed, 1);
}
END_TEST

static const struct {
	const char *text;
	bool can_challenge;
} challenged[] = {
	{ "", true },
	{ "locked:!{PLAIN}x\nstarred:*\n", true },
	{ "plain:{PLAIN}x\n", true },
	{ "plain:{PLAIN}x\nhash:" CHEAP "\n", true },
	{ "hash:" CHEAP "\n", false },
	{ "hash:{SHA}1ykxWx6qUDosAdXZ7LHE9/yCVAA=\nlocked:!{PLAIN}x\n", false },
};

START_TEST(nothing_but_hashes_answers_no_challenge)
{
	struct passwdfile *table = table_of(challenged[_i].text);
	unsigned wanted = METHODS_PASSWORD | (challenged[_i].can_challenge ? METHODS_CHALLENGE : 0);

	ck_assert_uint_eq(passwdfile_methods(table), wanted);
	passwdfile_free(&table);
}
END_TEST

START_TEST(a_password_that_is_too_long_costs_nothing)
{
	char *pass = mem_alloc(SECRET_MAX + 2);
	struct helper_request request = login("costly", pass);

	memset(pass, 'x', SECRET_MAX + 1);
	ck_assert_str_eq(ask("costly:" COSTLY "\n", &request, NULL), "password too long");
	ck_assert_uint_eq(hashed, 0);
	mem_free(pass);
}
END_TEST

static const struct {
	const char *text, *why;
	unsigned line;
} bad[] = {
	{ "a:{PLAIN}x\nb:{NONE}y\n", "unknown password scheme", 2 },
	{ "a:{PLAIN}x\n#\n\na:{PLAIN}y\n", "user is there twice", 4 },
	{ ":{PLAIN}x\n", "no user name", 1 },
	{ "a:x\n", "not a hash of this password scheme", 1 },
	{ "a:{PLAIN}x\tb\n", "control character in line", 1 },
	{ "a:{PLAIN}x\rb\n", "control character in line", 1 },
	{ "a:{PLAIN}x::::::port=0\n", "invalid port", 1 },
	{ "a:{PLAIN}x::::::port=65536\n", "invalid port", 1 },
	{ "a:{PLAIN}x::::::port=12x\n", "invalid port", 1 },
	{ "a:{PLAIN}x::::::port\n", "a key has no value", 1 },
	{ "a:{PLAIN}x::::::port=143\n", "port without host", 1 },
	{ "a:{PLAIN}x::::::host=\n", "a key has no value", 1 },
	{ "a:{PLAIN}x::::::host=a host=b\n", "a key is given twice", 1 },
	{ "a:{PLAIN}x::::::host=a/b\n", "invalid host", 1 },
	{ "a:{PLAIN}x::::::user=%u\n", "\"%\" in a value must be written \"%%\"; there are no variables", 1 },
	{ "a:{PLAIN}x::::::pass=50%\n", "\"%\" in a value must be written \"%%\"; there are no variables", 1 },
	{ "a:{PLAIN}x::::::allow_nets=10.0.0.0/33\n", "invalid network in allow_nets", 1 },
	{ "a:{PLAIN}x::::::allow_nets=10.0.0.0/8,\n", "invalid network in allow_nets", 1 },
	{ "a:{PLAIN}x::::::allow_nets=all\n", "invalid network in allow_nets", 1 },
	{ "a:{PLAIN}x::::::protocols=imap,http\n", "unknown protocol in protocols", 1 },
	{ "a:{PLAIN}x::::::nopassword=y\n", "\"nopassword\" is not supported", 1 },
	{ "a:{PLAIN}x::::::ssl=on\n", "invalid value of ssl", 1 },
	{ "a:{PLAIN}x::::::ssl=\n", "a key has no value", 1 },
	{ "a:{PLAIN}x::::::starttls=no\n", "invalid value of \"starttls\"", 1 },
	{ "a:{PLAIN}x::::::ssl=no starttls=yes\n", "\"starttls\" with \"ssl=no\"", 1 },
};

START_TEST(a_bad_line_refuses_the_file_and_is_named)
{
	struct passwdfile *table;
	unsigned line;
	const char *why = passwdfile_new(&table, bad[_i].text, strlen(bad[_i].text), &line);

	ck_assert_msg(why != NULL, "%s was taken", bad[_i].text);
	ck_assert_str_eq(why, bad[_i].why);
	ck_assert_uint_eq(line, bad[_i].line);
	ck_assert_ptr_null(table);
}
END_TEST

START_TEST(a_nul_in_the_file_is_a_bad_line)
{
	struct passwdfile *table;
	unsigned line;

	ck_assert_str_eq(passwdfile_new(&table, "a:*\nb\0c:*\n", 10, &line), "control character in line");
	ck_assert_uint_eq(line, 2);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_read_within_its_bounds)
{
	for (size_t len = 0; len < sizeof(file); len++) {
		struct helper_request request = login("last", "one");
		struct helper_reply reply;
		struct passwdfile *table;
		char *text = mem_dup(file, len);        /* so that a step too far is noticed */
		unsigned line;

		if (passwdfile_new(&table, text, len, &line) == NULL) {
			passwdfile_answer(table, &request, &reply);
			helper_reply_reset(&reply);
			passwdfile_free(&table);
		}
		mem_free(text);
	}
}
END_TEST

START_TEST(an_empty_file_has_no_users)
{
	struct helper_request request = login("a", "");

	ck_assert_str_eq(ask("", &request, NULL), "unknown user");
	ck_assert_str_eq(ask("\n\r\n#\n", &request, NULL), "unknown user");
}
END_TEST

/* Lines that were read; the linker puts this before the real one. */
static unsigned parsed;

const char *__wrap_passwdline_parse(struct passwdline *line, const char *text, size_t len);
const char *__real_passwdline_parse(struct passwdline *line, const char *text, size_t len);

const char *
__wrap_passwdline_parse(struct passwdline *line, const char *text, size_t len)
{
	parsed++;
	return __real_passwdline_parse(line, text, len);
}

START_TEST(a_million_users_are_found_by_reading_a_line_each)
{
	enum { USERS = 1000000, LINE = 24, STEP = 37 };
	char *text = mem_alloc(USERS * LINE + 1);
	struct passwdfile *table;
	unsigned asked = 0;

	for (unsigned i = 0; i < USERS; i++)
		snprintf(text + i * LINE, LINE + 1, "user%07u:{PLAIN}%04u\n", i, i % 10000);
	table = table_of(text);
	ck_assert_uint_eq(passwdfile_count(table), USERS);
	parsed = 0;
	for (unsigned i = 0; i < USERS; i += STEP, asked++) {
		char user[16], pass[16];
		struct helper_request request = login(user, pass);
		struct helper_reply reply;

		snprintf(user, sizeof(user), "user%07u", i);
		snprintf(pass, sizeof(pass), "%04u", i % 10000);
		passwdfile_answer(table, &request, &reply);
		ck_assert_int_eq(reply.outcome, HELPER_ACCEPTED);
		helper_reply_reset(&reply);
		request.user = pass;
		passwdfile_answer(table, &request, &reply);
		ck_assert_int_eq(reply.outcome, HELPER_UNKNOWN);
		helper_reply_reset(&reply);
	}
	ck_assert_uint_le(parsed, asked + asked / 100);
	passwdfile_free(&table);
	mem_free(text);
}
END_TEST

Suite *
passwdfile_suite(void)
{
	Suite *suite = suite_create("passwdfile");
	TCase *tcase = tcase_create("passwdfile");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, reset_count, NULL);
	tcase_add_loop_test(tcase, who_knows_the_password_is_let_in_and_nobody_else, 0, UNIT_COUNT(logins));
	tcase_add_loop_test(tcase, keys_say_what_tls_the_backend_gets, 0, UNIT_COUNT(ssls));
	tcase_add_loop_test(tcase, keys_say_where_the_mail_lives, 0, UNIT_COUNT(backends));
	tcase_add_loop_test(tcase, keys_restrict_who_comes_from_where_by_what, 0, UNIT_COUNT(places));
	tcase_add_test(tcase, the_reason_of_nologin_is_for_who_knows_the_password);
	tcase_add_test(tcase, challenges_need_a_plain_secret_and_reveal_it_for_the_backend);
	tcase_add_test(tcase, what_no_password_proves_is_refused);
	tcase_add_loop_test(tcase, whoever_is_refused_has_cost_the_costliest_hash, 0, UNIT_COUNT(costs));
	tcase_add_test(tcase, an_unknown_user_whom_another_source_may_know_costs_nothing);
	tcase_add_loop_test(tcase, nothing_but_hashes_answers_no_challenge, 0, UNIT_COUNT(challenged));
	tcase_add_test(tcase, a_password_that_is_too_long_costs_nothing);
	tcase_add_loop_test(tcase, a_bad_line_refuses_the_file_and_is_named, 0, UNIT_COUNT(bad));
	tcase_add_test(tcase, a_nul_in_the_file_is_a_bad_line);
	tcase_add_test(tcase, a_file_cut_anywhere_is_read_within_its_bounds);
	tcase_add_test(tcase, an_empty_file_has_no_users);
	tcase_add_test(tcase, a_million_users_are_found_by_reading_a_line_each);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "worker/helper/mysql_row.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define SHA256_CRYPT "$5$abcdefgh$r9xTl.GUAgtnwCn6sC2SIJ0Wx1zm2nVBxp.PsRt2l6D"
#define H50 "h123456789h123456789h123456789h123456789h123456789"
#define LONG_HOST H50 H50 H50 H50 H50 H50 "x"

/* Columns as "name=value"; "name" alone is NULL. */
static struct mysql_row
row_of(const char *const *columns)
{
	struct mysql_row row = { .values[0].is_column = false };

	for (; *columns != NULL; columns++) {
		const char *value = strchr(*columns, '=');
		char *name = mem_strndup(*columns, value != NULL ? (size_t)(value - *columns) : strlen(*columns));
		enum mysql_row_column column = mysql_row_column(name);

		ck_assert_int_lt(column, MYSQL_ROW_COLUMNS);
		row.values[column].is_column = true;
		row.values[column].text = value != NULL ? value + 1 : NULL;
		row.values[column].len = value != NULL ? strlen(value + 1) : 0;
		mem_free(name);
	}
	return row;
}

static struct helper_request
request_of(const char *pass)
{
	struct helper_request request = {
		.method = METHOD_PLAIN, .protocol = PROTOCOL_IMAP, .user = "joe", .secret = pass,
	};

	ck_assert_int_eq(addr_parse(&request.client, "10.1.2.3", 8), 0);
	return request;
}

static struct helper_reply
ask(const char *const *columns, bool checked, const struct helper_request *request)
{
	struct mysql_row row = row_of(columns);
	struct mysql_row_past past = { .text = NULL };
	struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

	mysql_row_answer(&row, checked, &past, request, &reply);
	mysql_row_past_reset(&past);
	if (reply.outcome != HELPER_ACCEPTED) {
		ck_assert_ptr_nonnull(reply.reason);
		ck_assert(reply.user == NULL && reply.pass == NULL && reply.host == NULL);
	}
	return reply;
}

#define ROW (const char *const[])

static const struct {
	const char *pass;
	bool checked;
	const char *const *columns;
	const char *reason;
	enum helper_outcome outcome;
} logins[] = {
	{ "pw", false, ROW{ "password={PLAIN}pw", NULL }, NULL, HELPER_ACCEPTED },
	{ "no", false, ROW{ "password={PLAIN}pw", NULL }, "wrong password", HELPER_REFUSED },
	{ "", false, ROW{ "password={PLAIN}pw", NULL }, "wrong password", HELPER_REFUSED },
	{ "no", false, ROW{ "password=" SHA256_CRYPT, NULL }, "wrong password", HELPER_REFUSED },
	{ "no", false, ROW{ "password={CRYPT}" SHA256_CRYPT, NULL }, "wrong password", HELPER_REFUSED },
	/* nobody has these passwords */
	{ "", false, ROW{ "password=", NULL }, "the user is locked", HELPER_REFUSED },
	{ "!", false, ROW{ "password=!x", NULL }, "the user is locked", HELPER_REFUSED },
	{ "*", false, ROW{ "password=*", NULL }, "the user is locked", HELPER_REFUSED },
	{ "", false, ROW{ "password={PLAIN}", NULL }, "the user is locked", HELPER_REFUSED },
	/* NULL: only where the server has judged the password */
	{ "pw", false, ROW{ "password", NULL }, "the user is locked", HELPER_REFUSED },
	{ "pw", true, ROW{ "password", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", true, ROW{ "password={PLAIN}other", NULL }, "wrong password", HELPER_REFUSED },
	{ "pw", true, ROW{ "password=", NULL }, "the user is locked", HELPER_REFUSED },
	{ "pw", true, ROW{ "host=10.0.0.1", NULL }, "the query returns no column password", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ NULL }, "the query returns no column password", HELPER_UNAVAILABLE },
	/* passwords that cannot be meant */
	{ "pw", false, ROW{ "password=pw", NULL }, "not a hash of this password scheme", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={MD6}pw", NULL }, "unknown password scheme", HELPER_UNAVAILABLE },
	{ "pw\r\nx", false, ROW{ "password={PLAIN}pw\r\nx", NULL }, "CR, LF or NUL in the password",
	    HELPER_UNAVAILABLE },
	/* networks */
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets=10.0.0.0/8,::1", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets=192.0.2.0/24,local", NULL },
	    "client address is not in allow_nets", HELPER_REFUSED },
	{ "no", false, ROW{ "password={PLAIN}pw", "allow_nets=192.0.2.0/24", NULL }, "wrong password", HELPER_REFUSED },
	{ "pw", true, ROW{ "password", "allow_nets=192.0.2.0/24", NULL }, "client address is not in allow_nets",
	    HELPER_REFUSED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets=", NULL }, "invalid network in allow_nets",
	    HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets=10.0.0.0/8, ::1", NULL },
	    "invalid network in allow_nets", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "allow_nets=all", NULL }, "invalid network in allow_nets",
	    HELPER_UNAVAILABLE },
	/* protocols */
	{ "pw", false, ROW{ "password={PLAIN}pw", "protocols=pop3,imap", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "protocols=pop3", NULL }, "protocol is not in protocols",
	    HELPER_REFUSED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "protocols=", NULL }, "unknown protocol in protocols",
	    HELPER_UNAVAILABLE },
	/* nologin */
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin=1", NULL }, "the user has nologin", HELPER_REFUSED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin=Y", NULL }, "the user has nologin", HELPER_REFUSED },
	{ "pw", true, ROW{ "password", "nologin=2026-01-01", NULL }, "the user has nologin", HELPER_REFUSED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin=0", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin=No", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin=", NULL }, NULL, HELPER_ACCEPTED },
	{ "pw", false, ROW{ "password={PLAIN}pw", "nologin", NULL }, NULL, HELPER_ACCEPTED },
	/* values that cannot be used: not even by somebody with a wrong password */
	{ "no", false, ROW{ "password={PLAIN}pw", "host=a b", NULL }, "invalid host", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx\r\nQUIT", NULL }, "column host holds a control character",
	    HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=" LONG_HOST, NULL }, "column host is too long",
	    HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx", "port=0", NULL }, "invalid port", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx", "port=65536", NULL }, "invalid port", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx", "port=-1", NULL }, "invalid port", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx", "port=143 ", NULL }, "invalid port", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=mx", "port=000143", NULL }, "column port is too long",
	    HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "port=143", NULL }, "port without host", HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "host=", "port=143", NULL }, "port without host",
	    HELPER_UNAVAILABLE },
	{ "pw", false, ROW{ "password={PLAIN}pw", "ssl=1", NULL }, "invalid value of ssl", HELPER_UNAVAILABLE },
	{ "pw", true, ROW{ "password", "user=joe\nDELE 1", NULL }, "column user holds a control character",
	    HELPER_UNAVAILABLE },
	{ "pw", true, ROW{ "password", "pass=x\ry", NULL }, "column pass holds a control character",
	    HELPER_UNAVAILABLE },
	{ "pw", true, ROW{ "password", "reason=x\n+OK", NULL }, "column reason holds a control character",
	    HELPER_UNAVAILABLE },
};

START_TEST(a_row_lets_in_whom_it_means)
{
	struct helper_request request = request_of(logins[_i].pass);
	struct helper_reply reply = ask(logins[_i].columns, logins[_i].checked, &request);

	ck_assert_msg(reply.outcome == logins[_i].outcome, "row %d: %s", _i, reply.reason);
	if (logins[_i].reason != NULL)
		ck_assert_str_eq(reply.reason, logins[_i].reason);
	helper_reply_reset(&reply);
}
END_TEST

#define RIGHT "password={PLAIN}pw"

static const struct {
	const char *const *columns;
	const char *user, *pass, *host;
	unsigned port;
	int ssl;                /* -1: not said */
	bool is_unix;
} backends[] = {
	{ ROW{ RIGHT, NULL }, NULL, NULL, NULL, 0, -1, false },
	{ ROW{ RIGHT, "host", "port", "ssl", "user", "pass", NULL }, NULL, NULL, NULL, 0, -1, false },
	{ ROW{ RIGHT, "host=", "port=", "ssl=", "user=", "pass=", NULL }, NULL, NULL, NULL, 0, -1, false },
	{ ROW{ RIGHT, "host=mx.example", "port=65535", NULL }, NULL, NULL, "mx.example", 65535, -1, false },
	{ ROW{ RIGHT, "host=10.0.0.1:993", NULL }, NULL, NULL, "10.0.0.1", 993, -1, false },
	{ ROW{ RIGHT, "host=10.0.0.1:993", "port=143", NULL }, NULL, NULL, "10.0.0.1", 143, -1, false },
	{ ROW{ RIGHT, "host=2001:db8::1", "port=1", NULL }, NULL, NULL, "2001:db8::1", 1, -1, false },
	{ ROW{ RIGHT, "host=unix:/run/a%b%%c", NULL }, NULL, NULL, "/run/a%b%%c", 0, -1, true },
	{ ROW{ RIGHT, "ssl=no", NULL }, NULL, NULL, NULL, 0, PROXY_SSL_OFF, false },
	{ ROW{ RIGHT, "ssl=yes", NULL }, NULL, NULL, NULL, 0, PROXY_SSL_ON, false },
	{ ROW{ RIGHT, "ssl=starttls", NULL }, NULL, NULL, NULL, 0, PROXY_SSL_STARTTLS, false },
	{ ROW{ RIGHT, "user=100%", "pass=a%%b \"\\", NULL }, "100%", "a%%b \"\\", NULL, 0, -1, false },
	{ ROW{ "PassWord={PLAIN}pw", "USER=\xff", NULL }, "\xff", NULL, NULL, 0, -1, false },
};

START_TEST(a_row_names_backend_and_login)
{
	struct helper_request request = request_of("pw");
	struct helper_reply reply = ask(backends[_i].columns, false, &request);

	ck_assert_msg(reply.outcome == HELPER_ACCEPTED, "row %d: %s", _i, reply.reason);
	ck_assert_pstr_eq(reply.user, backends[_i].user);
	ck_assert_pstr_eq(reply.pass, backends[_i].pass);
	ck_assert_pstr_eq(reply.host, backends[_i].host);
	ck_assert_uint_eq(reply.port, backends[_i].port);
	ck_assert(reply.is_unix == backends[_i].is_unix);
	ck_assert(reply.says_ssl == (backends[_i].ssl != -1));
	if (reply.says_ssl)
		ck_assert_int_eq((int)reply.ssl, backends[_i].ssl);
	helper_reply_reset(&reply);
}
END_TEST

START_TEST(a_reason_is_told_to_whom_nologin_keeps_out)
{
	struct helper_request right = request_of("pw"), wrong = request_of("no");
	const char *const *columns = ROW{ RIGHT, "nologin=1", "reason=unpaid", NULL };
	struct helper_reply reply = ask(columns, false, &right);

	ck_assert_str_eq(reply.text, "unpaid");
	helper_reply_reset(&reply);
	reply = ask(columns, false, &wrong);
	ck_assert_ptr_null(reply.text);
	helper_reply_reset(&reply);
	reply = ask(ROW{ RIGHT, "nologin=1", "reason", NULL }, false, &right);
	ck_assert_ptr_null(reply.text);
	helper_reply_reset(&reply);
}
END_TEST

/* HMAC-MD5 of RFC 2195's example. */
START_TEST(a_challenge_is_judged_by_a_plain_password_only)
{
	struct helper_request request = request_of("b913a602c7eda7a495b4e6e7334d3890");
	struct helper_reply reply;

	request.method = METHOD_CRAM_MD5;
	request.salt = "<1896.697170952@postoffice.reston.mci.net>";
	reply = ask(ROW{ "password={PLAIN}tanstaaftanstaaf", NULL }, false, &request);
	ck_assert_int_eq(reply.outcome, HELPER_ACCEPTED);
	ck_assert_str_eq(reply.pass, "tanstaaftanstaaf");
	helper_reply_reset(&reply);
	reply = ask(ROW{ "password={PLAIN}tanstaaftanstaaf", "pass=other", NULL }, false, &request);
	ck_assert_str_eq(reply.pass, "other");
	helper_reply_reset(&reply);
	reply = ask(ROW{ "password=" SHA256_CRYPT, NULL }, false, &request);
	ck_assert_str_eq(reply.reason, "the password is stored as a hash, which this method cannot use");
	helper_reply_reset(&reply);
}
END_TEST

START_TEST(a_value_that_was_cut_is_not_used)
{
	static char text[MYSQL_ROW_VALUE_MAX + 1];
	struct helper_request request = request_of("pw");

	for (unsigned i = 0; i < MYSQL_ROW_COLUMNS; i++) {
		struct mysql_row row = row_of(ROW{ RIGHT, NULL });
		struct mysql_row_past past = { .text = NULL };
		struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

		memset(text, '1', MYSQL_ROW_VALUE_MAX);
		row.values[i] = (struct mysql_row_value){ true, text, MYSQL_ROW_VALUE_MAX + 1 };
		mysql_row_answer(&row, true, &past, &request, &reply);
		ck_assert_int_eq(reply.outcome, HELPER_UNAVAILABLE);
		ck_assert_ptr_nonnull(strstr(reply.reason, "is too long"));
		helper_reply_reset(&reply);
		mysql_row_past_reset(&past);
	}
}
END_TEST

static void
learn(struct mysql_row_past *past, const char *password)
{
	struct helper_request request = request_of("no");
	struct mysql_row row = row_of((const char *const[]){ password, NULL });
	struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

	mysql_row_answer(&row, false, past, &request, &reply);
	helper_reply_reset(&reply);
}

START_TEST(the_costliest_hash_is_remembered)
{
	struct mysql_row_past past = { .text = NULL };

	learn(&past, "password");
	ck_assert_ptr_null(past.text);
	learn(&past, RIGHT);
	ck_assert_str_eq(past.text, "{PLAIN}pw");
	learn(&past, "password=" SHA256_CRYPT);
	ck_assert_str_eq(past.text, SHA256_CRYPT);
	learn(&past, RIGHT);
	ck_assert_str_eq(past.text, SHA256_CRYPT);
	mysql_row_past_reset(&past);
	ck_assert(past.text == NULL && past.costliest.scheme == NULL);
}
END_TEST

/* A challenge, because that computes no hash. */
START_TEST(a_hash_that_nobody_waits_for_is_not_remembered)
{
	static const char *const hashes[] = {
		"password=$2b$20$abcdefghijklmnopqrstuu" "5Ji2Uy7Vpn6dvYAr3W8wtrFuYrlJwBO",
		"password=$6$rounds=999999999$salt$",
	};
	struct helper_request request = request_of("b913a602c7eda7a495b4e6e7334d3890");
	struct mysql_row_past past = { .text = NULL };

	request.method = METHOD_CRAM_MD5;
	request.salt = "<1896.697170952@postoffice.reston.mci.net>";
	learn(&past, RIGHT);
	for (size_t i = 0; i < UNIT_COUNT(hashes); i++) {
		struct mysql_row row = row_of(ROW{ hashes[i], NULL });
		struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

		mysql_row_answer(&row, false, &past, &request, &reply);
		ck_assert_str_eq(reply.reason, "the password is stored as a hash, which this method cannot use");
		ck_assert_str_eq(past.text, "{PLAIN}pw");
		helper_reply_reset(&reply);
	}
	mysql_row_past_reset(&past);
}
END_TEST

START_TEST(without_a_row_the_user_is_unknown)
{
	struct mysql_row_past past = { .text = NULL };
	struct helper_request request = request_of("pw");

	for (int last = 0; last < 2; last++) {
		struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };

		request.is_last = last;
		mysql_row_missing(&past, &request, &reply);
		ck_assert_int_eq(reply.outcome, HELPER_UNKNOWN);
		ck_assert_str_eq(reply.reason, "unknown user");
		helper_reply_reset(&reply);
		learn(&past, "password=" SHA256_CRYPT);
	}
	mysql_row_past_reset(&past);
}
END_TEST

START_TEST(other_columns_are_none_of_ours)
{
	ck_assert_int_eq(mysql_row_column("password"), MYSQL_ROW_PASSWORD);
	ck_assert_int_eq(mysql_row_column("ALLOW_NETS"), MYSQL_ROW_ALLOW_NETS);
	ck_assert_int_eq(mysql_row_column(""), MYSQL_ROW_COLUMNS);
	ck_assert_int_eq(mysql_row_column("passwords"), MYSQL_ROW_COLUMNS);
	ck_assert_int_eq(mysql_row_column("pas"), MYSQL_ROW_COLUMNS);
	ck_assert_int_eq(mysql_row_column("users.password"), MYSQL_ROW_COLUMNS);
}
END_TEST

Suite *
mysql_row_suite(void)
{
	Suite *suite = suite_create("mysql_row");
	TCase *tcase = tcase_create("mysql_row");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, a_row_lets_in_whom_it_means, 0, UNIT_COUNT(logins));
	tcase_add_loop_test(tcase, a_row_names_backend_and_login, 0, UNIT_COUNT(backends));
	tcase_add_test(tcase, a_reason_is_told_to_whom_nologin_keeps_out);
	tcase_add_test(tcase, a_challenge_is_judged_by_a_plain_password_only);
	tcase_add_test(tcase, a_value_that_was_cut_is_not_used);
	tcase_add_test(tcase, the_costliest_hash_is_remembered);
	tcase_add_test(tcase, a_hash_that_nobody_waits_for_is_not_remembered);
	tcase_add_test(tcase, without_a_row_the_user_is_unknown);
	tcase_add_test(tcase, other_columns_are_none_of_ours);
	return suite;
}

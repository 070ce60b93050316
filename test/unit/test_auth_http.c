#include "worker/auth/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/unit/clock.h"
#include "test/unit/scripted.h"
#include "test/unit/unit.h"

#define YES \
	"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 143\r\nContent-Length: 0\r\n\r\n"
#define WAIT "HTTP/1.1 200 OK\r\nAuth-Status: WAIT\r\nContent-Length: 0\r\n\r\n"
#define STEPS(steps) steps, UNIT_COUNT(steps)

/* A worker's surroundings, as small as they can be. */
static struct loop *loop;
static struct scripted *scripted;
static struct auth *auth;
static struct conf_name name;
static struct conf_web web = {
	.name = &name, .host = "localhost", .uri = "/auth", .label = "localhost/auth",
	.weight = 1, .max_fails = 1, .fail_timeout = 10000,
};
static struct conf_web *webs[] = { &web, NULL };
static struct conf_source source;
static struct conf_source *sources[] = { &source, NULL };
static struct conf_auth only = { .source = &source };
static struct conf_auth *chain[] = { &only, NULL };
static struct conf conf;
static struct server server;
static struct log_target target;
static struct log server_log;
static struct addr client;
static struct facts facts;
static struct credentials credentials;
static struct auth_question question;

/* What was answered. */
static unsigned answers;
static enum auth_outcome outcome;
static char text[256];

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	ck_assert_ptr_eq(ctx, &answers);
	answers++;
	outcome = answer->outcome;
	ck_assert_str_eq(answer->source->label, "localhost/auth");
	snprintf(text, sizeof(text), "%s", outcome == AUTH_ACCEPTED ? answer->host : answer->reason);
}

static void
set_log(void)
{
	target = (struct log_target){ .kind = LOG_TO_FILE, .level = LOG_INFO, .fd = fileno(tmpfile()) };
	server_log = (struct log){ .targets = NULL };
	log_add(&server_log, &target);
}

/* Everything logged so far. */
static const char *
logged(void)
{
	static char lines[4096];
	ssize_t len = pread(target.fd, lines, sizeof(lines) - 1, 0);

	ck_assert_int_ge(len, 0);
	lines[len] = '\0';
	return lines;
}

static void
set_question(void)
{
	client = (struct addr){ .ip = { 198, 51, 100, 7 }, .family = AF_INET, .port = 4711 };
	server = (struct server){
		.protocol = PROTOCOL_IMAP, .log = &server_log, .auth = chain,
		.auth_http_timeout = 1000, .auth_http_buffer = 1024,
	};
	facts = (struct facts){ .server = &server, .client = &client, .client_host = "[UNAVAILABLE]" };
	credentials = (struct credentials){
		.method = METHOD_PLAIN, .user = (char *)(uintptr_t)"joe", .pass = (char *)(uintptr_t)"pw",
	};
	question = (struct auth_question){
		.server = &server, .facts = &facts, .credentials = &credentials, .attempt = 1,
	};
}

static void
setup(void)
{
	loop = loop_new(64);
	answers = 0;
	set_log();
	set_question();
}

static void
open_auth(const struct endpoint *at)
{
	name = (struct conf_name){ .text = "localhost", .found = mem_alloc(sizeof(*at)), .found_count = 1 };
	endpoint_copy(name.found, at);
	source = (struct conf_source){
		.kind = SOURCE_HTTP, .label = "localhost/auth", .methods = ~0u, .servers = webs,
		.keepalive = 32, .keepalive_requests = 1000, .keepalive_timeout = 60000,
	};
	conf = (struct conf){ .sources = sources, .source_count = 1 };
	auth = auth_new(&conf, loop, NULL, 1);
}

static void
serve(const struct scripted_step *steps, int count)
{
	scripted = scripted_new(loop, steps, (size_t)count);
	open_auth(scripted_at(scripted));
}

static void
teardown(void)
{
	auth_free(&auth);
	if (scripted != NULL)
		scripted_free(&scripted);
	loop_turn(loop, 0);
	loop_free(&loop);
	endpoint_reset(name.found);
	mem_free(name.found);
}

static void
settle(void)
{
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
}

static void
ask(void)
{
	unsigned before = answers;

	auth_ask(auth, &question, on_answer, &answers);
	ck_assert_uint_eq(answers, before);
	while (answers == before)
		loop_turn(loop, -1);
	settle();
	ck_assert_uint_eq(answers, before + 1);
}

static const struct {
	enum protocol protocol;
	enum method method;
	const char *user, *pass, *authz;
	const char *request;
} requests[] = {
	{ PROTOCOL_IMAP, METHOD_PLAIN, "joe", "pw", NULL,
	    "Auth-Method: plain\r\nAuth-User: joe\r\nAuth-Pass: pw\r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\n"
	    "Client-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_POP3, METHOD_LOGIN, "j o%e\t", "\x01+&=\"\x7f\xc3\xbc", NULL,
	    "Auth-Method: plain\r\nAuth-User: j%20o%25e%09\r\nAuth-Pass: %01+&=\"\x7f\xc3\xbc\r\n"
	    "Auth-Protocol: pop3\r\n"
	    "Auth-Login-Attempt: 1\r\nClient-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_POP3, METHOD_APOP, "joe", "0123456789abcdef0123456789abcdef", NULL,
	    "Auth-Method: apop\r\nAuth-User: joe\r\nAuth-Pass: 0123456789abcdef0123456789abcdef\r\n"
	    "Auth-Salt: <1.2@x>\r\n"
	    "Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_SMTP, METHOD_CRAM_MD5, "joe", "00", NULL,
	    "Auth-Method: cram-md5\r\nAuth-User: joe\r\nAuth-Pass: 00\r\nAuth-Salt: <1.2@x>\r\nAuth-Protocol: smtp\r\n"
	    "Auth-Login-Attempt: 1\r\nClient-IP: 198.51.100.7\r\nClient-Host: [UNAVAILABLE]\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_IMAP, METHOD_EXTERNAL, "joe", NULL, NULL,
	    "Auth-Method: external\r\nAuth-User: joe\r\nAuth-Pass: \r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\n"
	    "Client-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_IMAP, METHOD_PLAIN, "joe", "pw", "the boss",
	    "Auth-Method: plain\r\nAuth-User: joe\r\nAuth-Pass: pw\r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\n"
	    "Client-IP: 198.51.100.7\r\nAuth-Authz: the%20boss\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_IMAP, METHOD_XOAUTH2, "joe@example.org", "ya29.vF9dft4qmTc2Nvb3=", NULL,
	    "Auth-Method: xoauth2\r\nAuth-User: joe@example.org\r\nAuth-Pass: ya29.vF9dft4qmTc2Nvb3=\r\n"
	    "Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_POP3, METHOD_OAUTHBEARER, "", "a%b", NULL,
	    "Auth-Method: oauthbearer\r\nAuth-User: \r\nAuth-Pass: a%25b\r\n"
	    "Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 198.51.100.7\r\nX-Key: a b%\r\n" },
	{ PROTOCOL_SMTP, METHOD_NONE, NULL, NULL, NULL,
	    "Auth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\nAuth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\n"
	    "Client-IP: 198.51.100.7\r\nClient-Host: [UNAVAILABLE]\r\nAuth-SMTP-Helo: there\r\n"
	    "Auth-SMTP-From: MAIL FROM:<a@b> SIZE=10\r\nAuth-SMTP-To: RCPT TO:<c@d>\r\nX-Key: a b%\r\n" },
};

START_TEST(a_request_is_written_as_nginx_writes_it)
{
	static const struct scripted_step steps[] = { { .reply = YES "x" } };
	struct conf_header header = { "X-Key", "a b%" }, *headers[] = { &header, NULL };
	char *wanted = mem_printf("GET /auth HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n%s\r\n",
	    requests[_i].request);

	serve(STEPS(steps));
	server.auth_http_headers = headers;
	server.protocol = requests[_i].protocol;
	strcpy(facts.salt, "<1.2@x>");
	credentials = (struct credentials){
		.method = requests[_i].method,
		.user = (char *)(uintptr_t)requests[_i].user,
		.pass = (char *)(uintptr_t)requests[_i].pass,
		.authz = (char *)(uintptr_t)requests[_i].authz,
		.helo = (char *)(uintptr_t)"there",
		.mail = (char *)(uintptr_t)"MAIL FROM:<a@b> SIZE=10",
		.rcpt = (char *)(uintptr_t)"RCPT TO:<c@d>",
	};
	ask();
	ck_assert_str_eq(scripted_request(scripted), wanted);
	mem_free(wanted);
}
END_TEST

#define CLIENT "Client-IP: 198.51.100.7\r\n"
#define TLS CLIENT "Auth-SSL: on\r\nAuth-SSL-Protocol: TLSv1.3\r\nAuth-SSL-Cipher: TLS_AES_128_GCM_SHA256\r\n"
#define CERTIFICATE \
	"Auth-SSL-Subject: CN=joe,O=A\\, B\r\nAuth-SSL-Issuer: CN=ca\r\nAuth-SSL-Serial: 0A\r\n" \
	"Auth-SSL-Fingerprint: 1f\r\nAuth-SSL-Fingerprint-SHA256: 2f\r\n"

static const struct {
	bool secure, pass_certificate;
	const char *verify, *subject;
	const char *headers;    /* how the request ends */
} tls_requests[] = {
	{ false, true, "SUCCESS", "CN=joe,O=A\\, B", CLIENT },
	{ true, true, NULL, NULL, TLS },
	{ true, true, "NONE", NULL, TLS "Auth-SSL-Verify: NONE\r\n" },
	{ true, false, "SUCCESS", "CN=joe,O=A\\, B", TLS "Auth-SSL-Verify: SUCCESS\r\n" CERTIFICATE },
	{ true, true, "FAILED:certificate has expired", "CN=joe,O=A\\, B", TLS
	    "Auth-SSL-Verify: FAILED:certificate has expired\r\n" CERTIFICATE "Auth-SSL-Cert: -----BEGIN%20X%0Aa+b/=%0A\r\n" },
};

START_TEST(tls_is_told_of_as_nginx_tells_it)
{
	static const struct scripted_step steps[] = { { .reply = YES } };
	char *end = mem_printf("%sAuth-Session-ID: 0123456789abcdef\r\nAuth-Authz: boss\r\n\r\n",
	    tls_requests[_i].headers);
	const char *request;

	serve(STEPS(steps));
	server.auth_http_pass_client_cert = tls_requests[_i].pass_certificate;
	facts.secure = tls_requests[_i].secure;
	facts.tls = (struct tls_facts){
		.protocol = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .verify = tls_requests[_i].verify,
		.subject = tls_requests[_i].subject, .issuer = "CN=ca", .serial = "0A",
		.fingerprint = "1f", .fingerprint_sha256 = "2f", .certificate = "-----BEGIN X\na+b/=\n",
	};
	credentials.authz = (char *)(uintptr_t)"boss";
	question.session = "0123456789abcdef";
	ask();
	request = scripted_request(scripted);
	ck_assert_uint_gt(strlen(request), strlen(end));
	ck_assert_str_eq(request + strlen(request) - strlen(end), end);
	mem_free(end);
}
END_TEST

START_TEST(a_unix_client_is_named_and_attempts_are_counted)
{
	static const struct scripted_step steps[] = { { .reply = YES } };

	serve(STEPS(steps));
	client = (struct addr){ .family = AF_UNIX };
	question.attempt = 12;
	ask();
	ck_assert_ptr_nonnull(strstr(scripted_request(scripted), "\r\nAuth-Login-Attempt: 12\r\nClient-IP: unix:\r\n"));
}
END_TEST

START_TEST(a_connection_that_is_not_to_be_kept_is_not_asked_for)
{
	static const struct scripted_step steps[] = { { .reply = YES } };

	serve(STEPS(steps));
	source.keepalive = 0;
	auth_free(&auth);
	auth = auth_new(&conf, loop, NULL, 1);
	ask();
	ck_assert_ptr_nonnull(strstr(scripted_request(scripted), "\r\nConnection: close\r\n"));
	ck_assert_uint_eq(auth_idle_descriptors(auth), 0);
}
END_TEST

START_TEST(a_line_break_never_makes_a_header)
{
	static const struct scripted_step steps[] = { { .reply = YES } };

	serve(STEPS(steps));
	credentials.user = (char *)(uintptr_t)"joe\r\nAuth-Method: none";
	ask();
	ck_assert_ptr_nonnull(strstr(scripted_request(scripted), "Auth-User: joe%0D%0AAuth-Method:%20none\r\n"));
	credentials.method = METHOD_NONE;
	credentials.mail = (char *)(uintptr_t)"MAIL FROM:<a>\nX: y";
	ask();
	ck_assert_int_eq(outcome, AUTH_UNAVAILABLE);
	ck_assert_uint_eq(scripted_requests(scripted), 1);
}
END_TEST

static const struct {
	struct scripted_step step;
	enum auth_outcome outcome;
	const char *text;       /* of it, with P for the server's port */
	bool logged;            /* at level error */
} outcomes[] = {
	{ { .reply = YES }, AUTH_ACCEPTED, "192.0.2.1", false },
	{ { .reply = "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login\r\n\r\n", .close = true }, AUTH_REFUSED,
	    "Invalid login", false },
	{ { .reply = "HTTP/1.1 200 OK\r\nAuth-Status: no\r\nAuth-Error-Code: 250\r\n\r\n" }, AUTH_REFUSED, "no", true },
	{ { .reply = "HTTP/1.1 404 Not Found\r\n\r\n" }, AUTH_UNAVAILABLE, "sent invalid response: status 404", true },
	{ { .reply = "HTTP/1.1 200 OK\r\n\r\nAuth-Status: OK\r\n\r\n" }, AUTH_UNAVAILABLE,
	    "sent invalid response: no Auth-Status", true },
	{ { .reply = "Auth-Status: OK\r\n\r\n" }, AUTH_UNAVAILABLE, "sent invalid response: bad status line", true },
	{ { .reply = "HTTP/1.1 200 OK\r\nAuth-Status OK\r\n\r\n" }, AUTH_UNAVAILABLE,
	    "sent invalid header in response: bad header name", true },
	{ { .reply = "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n", .close = true }, AUTH_UNAVAILABLE,
	    "closed the connection before its answer was whole", true },
	{ { .close = true }, AUTH_UNAVAILABLE, "closed the connection before its answer was whole", true },
};

START_TEST(an_outcome_is_told_and_a_failure_logged_once)
{
	char line[160];

	serve(&outcomes[_i].step, 1);
	ask();
	ck_assert_int_eq(outcome, outcomes[_i].outcome);
	ck_assert_ptr_nonnull(strstr(text, outcomes[_i].text));
	snprintf(line, sizeof(line), "auth http server 127.0.0.1:%u sent invalid header in response: Auth-Error-Code\n",
	    scripted_at(scripted)->addr.port);
	if (outcomes[_i].outcome == AUTH_UNAVAILABLE)
		snprintf(line, sizeof(line), "auth http server 127.0.0.1:%u %s\n", scripted_at(scripted)->addr.port,
		    outcomes[_i].text);
	if (outcomes[_i].logged)
		ck_assert_msg(strstr(logged(), "[error]") != NULL && strstr(logged(), line) != NULL, "%s", logged());
	else
		ck_assert_str_eq(logged(), "");
	ck_assert(strchr(logged(), '\n') == strrchr(logged(), '\n'));
}
END_TEST

START_TEST(a_silent_server_times_out)
{
	static const struct scripted_step steps[] = { { .reply = NULL } };

	serve(STEPS(steps));
	auth_ask(auth, &question, on_answer, &answers);
	settle();
	ck_assert_uint_eq(answers, 0);
	clock_skip_ms(1100);
	settle();
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(outcome, AUTH_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(logged(), " timed out\n"));
}
END_TEST

/* A UNIX socket that is not there fails within connect(2), so this one is known inside of auth_ask(). */
START_TEST(nobody_is_called_back_from_within_asking)
{
	struct endpoint nowhere = { .addr.family = AF_UNIX, .path = (char *)(uintptr_t)"/nonexistent/auth" };
	struct auth_request *request;

	open_auth(&nowhere);
	ask();
	ck_assert_int_eq(outcome, AUTH_UNAVAILABLE);
	ck_assert_str_eq(text,
	    "connect() to auth http server unix:/nonexistent/auth failed (2: No such file or directory)");
	request = auth_ask(auth, &question, on_answer, &answers);
	auth_cancel(&request);
	ck_assert_ptr_null(request);
	settle();
	ck_assert_uint_eq(answers, 1);
}
END_TEST

/* Whatever stage its question has reached: connecting, sending, waiting for the answer, waiting to ask again. */
START_TEST(who_has_gone_is_not_called)
{
	static const struct scripted_step steps[] = { { .reply = WAIT } };

	serve(STEPS(steps));
	for (int turns = 0; turns < 6; turns++) {
		struct auth_request *request = auth_ask(auth, &question, on_answer, &answers);

		for (int i = 0; i < turns; i++)
			loop_turn(loop, 0);
		auth_cancel(&request);
		ck_assert_ptr_null(request);
		clock_skip_ms(2000);
		settle();
	}
	ck_assert_uint_eq(answers, 0);
}
END_TEST

START_TEST(wait_asks_the_same_again_a_second_later)
{
	static const struct scripted_step steps[] = { { .reply = WAIT }, { .reply = YES } };
	char *first;

	serve(STEPS(steps));
	auth_ask(auth, &question, on_answer, &answers);
	settle();
	ck_assert_uint_eq(answers, 0);
	ck_assert_uint_eq(scripted_requests(scripted), 1);
	first = mem_strdup(scripted_request(scripted));
	clock_skip_ms(1100);
	settle();
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(scripted_request(scripted), first);
	ck_assert_uint_eq(scripted_connections(scripted), 1);
	mem_free(first);
}
END_TEST

START_TEST(wait_is_not_for_ever)
{
	static const struct scripted_step steps[] = { { .reply = WAIT } };

	serve(STEPS(steps));
	auth_ask(auth, &question, on_answer, &answers);
	for (int i = 0; i < 30 && answers == 0; i++) {
		settle();
		clock_skip_ms(1100);
	}
	ck_assert_uint_eq(scripted_requests(scripted), 21);
	ck_assert_int_eq(outcome, AUTH_UNAVAILABLE);
}
END_TEST

START_TEST(no_secret_is_ever_logged)
{
	static const struct scripted_step steps[] = {
		{ .reply = "HTTP/1.1 500 hunter2\r\nX: hunter2\r\nContent-Length: 0\r\n\r\n" },
		{ .reply = "hunter2\r\n\r\n" },
		{ .reply = "HTTP/1.1 200 OK\r\nAuth-Pass: hunter2\r\nhunter2\r\n\r\n" },
		{ .reply = "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Pass: hunter2\r\nAuth-Pass: hunter2\r\n\r\n" },
		{ .reply = "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Pass: hunter2\r\n\r\n" },
		{ .reply = "HTTP/1.1 200 OK\r\nAuth-Status: do not use hunter2\r\n\r\n" },
	};

	serve(STEPS(steps));
	credentials.pass = (char *)(uintptr_t)"hunter2";
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		ask();
		ck_assert_ptr_null(strstr(text, "hunter2"));
	}
	ck_assert_ptr_null(strstr(logged(), "hunter2"));
}
END_TEST

START_TEST(idle_connections_can_be_shed)
{
	static const struct scripted_step steps[] = { { .reply = YES } };

	serve(STEPS(steps));
	ask();
	ck_assert_uint_eq(auth_idle_descriptors(auth), 1);
	auth_shed(auth);
	ck_assert_uint_eq(auth_idle_descriptors(auth), 0);
	settle();
	ck_assert_uint_eq(scripted_open(scripted), 0);
}
END_TEST

Suite *
auth_http_suite(void)
{
	Suite *suite = suite_create("auth_http");
	TCase *tcase = tcase_create("auth_http");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_request_is_written_as_nginx_writes_it, 0, UNIT_COUNT(requests));
	tcase_add_loop_test(tcase, tls_is_told_of_as_nginx_tells_it, 0, UNIT_COUNT(tls_requests));
	tcase_add_test(tcase, a_unix_client_is_named_and_attempts_are_counted);
	tcase_add_test(tcase, a_connection_that_is_not_to_be_kept_is_not_asked_for);
	tcase_add_test(tcase, a_line_break_never_makes_a_header);
	tcase_add_loop_test(tcase, an_outcome_is_told_and_a_failure_logged_once, 0, UNIT_COUNT(outcomes));
	tcase_add_test(tcase, a_silent_server_times_out);
	tcase_add_test(tcase, nobody_is_called_back_from_within_asking);
	tcase_add_test(tcase, who_has_gone_is_not_called);
	tcase_add_test(tcase, wait_asks_the_same_again_a_second_later);
	tcase_add_test(tcase, wait_is_not_for_ever);
	tcase_add_test(tcase, no_secret_is_ever_logged);
	tcase_add_test(tcase, idle_connections_can_be_shed);
	suite_add_tcase(suite, tcase);
	return suite;
}

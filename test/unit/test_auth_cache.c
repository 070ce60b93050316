#include "worker/auth/auth_cache.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/authcache.h"
#include "common/zone.h"
#include "test/unit/unit.h"
#include "worker/auth/auth_source.h"

#define SLOT 1
#define NOW UINT64_C(1000000)
#define TTL 60000
#define NEGATIVE 5000
#define ZONE_BYTES ((size_t)1 << 20)

static struct auth_cache *cache;
static struct zone *accepted_zone, *refused_zone;
static _Atomic uint64_t epoch;
static unsigned char secret[CONF_CACHE_SECRET];
static struct conf_cache conf;
static struct conf_source source;
static struct server server;
static struct addr client;
static struct facts facts;
static struct credentials credentials;
static struct auth_question question;

static char *
text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static struct zone *
make_zone(size_t bytes, enum authcache_zone which)
{
	const struct zone_spec spec = authcache_spec("logins", bytes, which);
	struct zone *zone = zone_new(&spec);

	ck_assert_ptr_nonnull(zone);
	return zone;
}

/* The question that was asked first: a table below changes it. */
static void
set_question(void)
{
	client = (struct addr){ .family = AF_INET, .ip = { 198, 51, 100, 7 }, .port = 4711 };
	server = (struct server){ .protocol = PROTOCOL_IMAP, .name = "mx", .auth_cache = &conf };
	source = (struct conf_source){
		.kind = SOURCE_FILE, .key = "/etc/users", .label = "/etc/users", .epoch = &epoch,
	};
	facts = (struct facts){ .server = &server, .client = &client };
	credentials = (struct credentials){ .method = METHOD_PLAIN, .user = text("joe"), .pass = text("sesame") };
	question = (struct auth_question){
		.server = &server, .facts = &facts, .credentials = &credentials, .attempt = 1,
	};
}

static void
set_conf(size_t bytes)
{
	memset(secret, 0x5a, sizeof(secret));
	accepted_zone = make_zone(bytes, AUTHCACHE_ACCEPTED);
	refused_zone = make_zone(bytes, AUTHCACHE_REFUSED);
	conf = (struct conf_cache){
		.zone = "logins", .bytes = bytes, .ttl = TTL, .negative = NEGATIVE,
		.accepted = accepted_zone, .refused = refused_zone, .secret = secret,
	};
}

static void
setup(void)
{
	atomic_store(&epoch, 7);
	set_conf(ZONE_BYTES);
	set_question();
	cache = auth_cache_new(SLOT);
	ck_assert_ptr_nonnull(cache);
}

static void
teardown(void)
{
	auth_cache_free(&cache);
	zone_free(&accepted_zone);
	zone_free(&refused_zone);
}

static void
put(enum auth_outcome outcome)
{
	const struct auth_answer answer = {
		.outcome = outcome, .epoch = 7, .user = outcome == AUTH_ACCEPTED ? text("joe@example.org") : NULL,
		.reason = outcome == AUTH_ACCEPTED ? NULL : text("wrong password"),
	};

	auth_cache_put(cache, &question, &source, NOW, &answer);
}

#define NOTHING ((int)AUTH_UNKNOWN + 1)

/* What is found at this moment: an outcome, or NOTHING. */
static int
get_at(uint64_t now_ms)
{
	struct auth_answer answer;
	int outcome;

	if (!auth_cache_get(cache, &question, &source, now_ms, &answer))
		return NOTHING;
	outcome = (int)answer.outcome;
	ck_assert_ptr_eq(answer.source, &source);
	ck_assert(answer.cached);
	auth_answer_reset(&answer);
	return outcome;
}

static int
get(void)
{
	return get_at(NOW);
}

static int
get_with(const char *pass)
{
	char *old = credentials.pass;
	int found;

	credentials.pass = text(pass);
	found = get();
	credentials.pass = old;
	return found;
}

START_TEST(an_answer_comes_back_whole)
{
	const struct auth_answer put_answers[] = {
		{ .outcome = AUTH_ACCEPTED, .epoch = 7 },
		{ .outcome = AUTH_ACCEPTED, .epoch = 7, .user = text("u"), .pass = text("p"), .host = text("/run/imap"),
		    .is_unix = true, .port = 65535, .ssl = AUTH_SSL_STARTTLS, .ssl_name = text("mail.example.org"),
		    .headers = text("x_plan=gold\nx_class=\n") },
		{ .outcome = AUTH_REFUSED, .epoch = 7, .text = text(""), .code = text("535 5.7.0"),
		    .challenge = text("e30="), .reason = text("why"), .wait_ms = UINT64_MAX, .close = true },
		{ .outcome = AUTH_UNKNOWN, .epoch = 7 },
	};
	const struct auth_answer *in = &put_answers[_i];
	struct auth_answer out;

	auth_cache_put(cache, &question, &source, NOW, in);
	ck_assert(auth_cache_get(cache, &question, &source, NOW, &out));
	ck_assert_int_eq(out.outcome, in->outcome);
	ck_assert_pstr_eq(out.user, in->user);
	ck_assert_pstr_eq(out.pass, in->pass);
	ck_assert_pstr_eq(out.host, in->host);
	ck_assert_pstr_eq(out.ssl_name, in->ssl_name);
	ck_assert_pstr_eq(out.headers, in->headers);
	ck_assert_pstr_eq(out.text, in->text);
	ck_assert_pstr_eq(out.code, in->code);
	ck_assert_pstr_eq(out.challenge, in->challenge);
	ck_assert_pstr_eq(out.reason, in->reason);
	ck_assert(out.is_unix == in->is_unix && out.close == in->close);
	ck_assert(out.port == in->port && out.ssl == in->ssl && out.wait_ms == in->wait_ms && out.epoch == in->epoch);
	auth_answer_reset(&out);
}
END_TEST

static void other_user(void) { credentials.user = text("Joe"); }
static void other_authz(void) { credentials.authz = text("root"); }
static void empty_authz(void) { credentials.authz = text(""); }
static void other_method(void) { credentials.method = METHOD_CRAM_MD5; }
static void other_address(void) { client.ip[3] = 8; }
static void other_family(void) { client.family = AF_INET6; }
static void other_protocol(void) { server.protocol = PROTOCOL_POP3; }
static void other_server(void) { server.name = "mail"; }
static void other_source(void) { source.key = "/etc/users2"; }
static void other_kind(void) { source.kind = SOURCE_PAM; }
static void tls(void) { facts.secure = true; }
static void other_password(void) { credentials.pass = text("Sesame"); }
static void no_password(void) { credentials.pass = text(""); }
static void shifted(void) { credentials.user = text("jo"); credentials.authz = text("e"); }
static void other_secret(void) { secret[0] ^= 1; }

static void (*const changes[])(void) = {
	other_user, other_authz, empty_authz, other_method, other_address, other_family, other_protocol, other_server,
	other_source, other_kind, tls, other_password, no_password, shifted, other_secret,
};

START_TEST(another_question_finds_nothing)
{
	put(_i % 2 == 0 ? AUTH_ACCEPTED : AUTH_REFUSED);
	changes[_i / 2]();
	ck_assert_int_eq(get(), NOTHING);
}
END_TEST

START_TEST(the_same_question_finds_it_whatever_does_not_decide)
{
	put(AUTH_ACCEPTED);
	client.port = 4712;
	question.attempt = 2;
	facts.tls.cipher = "a cipher that helpers do not hear of";
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

static struct conf_header header = { "X-Key", "one" }, *headers[] = { &header, NULL };

static void next_attempt(void) { question.attempt = 2; }
static void other_host(void) { facts.client_host = "mx.example.org"; }
static void other_cipher(void) { facts.tls.cipher = "TLS_AES_128_GCM_SHA256"; }
static void other_certificate(void) { facts.tls.fingerprint_sha256 = "00ff"; }
static void unverified(void) { facts.tls.verify = "FAILED:expired"; }
static void other_header(void) { header.value = "two"; }
static void certificate_passed(void) { server.auth_http_pass_client_cert = true; }

static void (*const http_changes[])(void) = {
	next_attempt, other_host, other_cipher, other_certificate, unverified, other_header, certificate_passed,
};

START_TEST(an_http_server_may_go_by_all_that_it_hears)
{
	source.kind = SOURCE_HTTP;
	source.epoch = NULL;
	header.value = "one";
	server.auth_http_headers = headers;
	facts.client_host = "[UNAVAILABLE]";
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
	http_changes[_i]();
	ck_assert_int_eq(get(), NOTHING);
}
END_TEST

START_TEST(a_wrong_password_never_evicts_a_right_one)
{
	char wrong[32];

	put(AUTH_ACCEPTED);
	for (int i = 0; i < 20000; i++) {       /* many more than there is room for */
		snprintf(wrong, sizeof(wrong), "guess %d", i);
		credentials.pass = wrong;
		ck_assert_int_eq(get(), NOTHING);
		put(AUTH_REFUSED);
		ck_assert_int_eq(get(), AUTH_REFUSED);
	}
	ck_assert_int_eq(get_with("sesame"), AUTH_ACCEPTED);
}
END_TEST

START_TEST(a_new_password_takes_the_old_ones_place)
{
	put(AUTH_ACCEPTED);
	credentials.pass = text("new");
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
	ck_assert_int_eq(get_with("sesame"), NOTHING);
}
END_TEST

/* The trace of what is kept for this password. */
static struct auth_trace
trace_of(const char *pass)
{
	struct auth_answer answer;
	struct auth_trace trace;

	credentials.pass = text(pass);
	ck_assert(auth_cache_get(cache, &question, &source, NOW, &answer));
	trace = answer.trace;
	auth_answer_reset(&answer);
	return trace;
}

START_TEST(what_proved_wrong_is_asked_about_again)
{
	struct auth_trace trace;

	put(AUTH_REFUSED);
	put(AUTH_ACCEPTED);
	trace = trace_of("sesame");
	auth_cache_forget(cache, &conf, &trace);
	ck_assert_int_eq(get(), AUTH_REFUSED);
	auth_cache_forget(cache, &conf, &trace);
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

START_TEST(what_has_taken_its_place_stays)
{
	struct auth_trace trace;

	put(AUTH_ACCEPTED);
	trace = trace_of("sesame");
	credentials.pass = text("new");
	put(AUTH_ACCEPTED);
	auth_cache_forget(cache, &conf, &trace);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

START_TEST(time_ends_what_is_kept)
{
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get_at(NOW + TTL - 1), AUTH_ACCEPTED);
	ck_assert_int_eq(get_at(NOW + TTL), NOTHING);
	credentials.pass = text("wrong");
	put(AUTH_REFUSED);
	ck_assert_int_eq(get_at(NOW + NEGATIVE - 1), AUTH_REFUSED);
	ck_assert_int_eq(get_at(NOW + NEGATIVE), NOTHING);
}
END_TEST

START_TEST(a_shorter_life_is_obeyed_by_what_is_kept_already)
{
	put(AUTH_ACCEPTED);
	conf.ttl = 1000;
	ck_assert_int_eq(get_at(NOW), NOTHING);
	ck_assert_int_eq(get_at(NOW + TTL - 1000), AUTH_ACCEPTED);
	conf.ttl = TTL;
	credentials.pass = text("wrong");
	put(AUTH_REFUSED);
	conf.negative = 0;
	ck_assert_int_eq(get_at(NOW), NOTHING);
}
END_TEST

START_TEST(an_answer_from_another_file_is_void)
{
	put(AUTH_ACCEPTED);
	atomic_store(&epoch, 8);
	ck_assert_int_eq(get(), NOTHING);
	atomic_store(&epoch, 0);
	ck_assert_int_eq(get(), NOTHING);
	atomic_store(&epoch, 7);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

START_TEST(an_answer_that_does_not_say_from_which_file_is_not_kept)
{
	const struct auth_answer answer = { .outcome = AUTH_ACCEPTED };

	atomic_store(&epoch, 0);
	auth_cache_put(cache, &question, &source, NOW, &answer);
	ck_assert_int_eq(get(), NOTHING);
	source.epoch = NULL;            /* such a source has no file */
	auth_cache_put(cache, &question, &source, NOW, &answer);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

static const struct {
	const char *what;
	enum source_kind kind;
	enum method method;
	struct auth_answer answer;
	bool is_kept;
} kinds[] = {
	{ "a yes", SOURCE_MYSQL, METHOD_PLAIN, { .outcome = AUTH_ACCEPTED }, true },
	{ "a no", SOURCE_MYSQL, METHOD_PLAIN, { .outcome = AUTH_REFUSED }, true },
	{ "an unknown user", SOURCE_MYSQL, METHOD_PLAIN, { .outcome = AUTH_UNKNOWN }, true },
	{ "a failure", SOURCE_MYSQL, METHOD_PLAIN, { .outcome = AUTH_UNAVAILABLE }, false },
	{ "the backend's", SOURCE_PASSTHROUGH, METHOD_PLAIN, { .outcome = AUTH_ACCEPTED }, false },
	{ "no decision yet", SOURCE_MYSQL, METHOD_PLAIN, { .outcome = AUTH_ACCEPTED, .undecided = true }, false },
	{ "a digest", SOURCE_FILE, METHOD_CRAM_MD5, { .outcome = AUTH_ACCEPTED }, false },
	{ "a certificate", SOURCE_HTTP, METHOD_EXTERNAL, { .outcome = AUTH_ACCEPTED }, false },
	{ "mail without a login", SOURCE_HTTP, METHOD_NONE, { .outcome = AUTH_ACCEPTED }, false },
	{ "a token of ours", SOURCE_JWT, METHOD_XOAUTH2, { .outcome = AUTH_ACCEPTED }, false },
	{ "a token of theirs", SOURCE_INTROSPECTION, METHOD_OAUTHBEARER, { .outcome = AUTH_ACCEPTED }, true },
	{ "a token over HTTP", SOURCE_HTTP, METHOD_XOAUTH2, { .outcome = AUTH_ACCEPTED }, false },
};

START_TEST(only_what_can_be_believed_again_is_kept)
{
	source.kind = kinds[_i].kind;
	source.epoch = NULL;
	credentials.method = kinds[_i].method;
	auth_cache_put(cache, &question, &source, NOW, &kinds[_i].answer);
	ck_assert_msg((get() != NOTHING) == kinds[_i].is_kept, "%s", kinds[_i].what);
}
END_TEST

START_TEST(a_token_is_believed_until_it_expires)
{
	const struct auth_answer answer = { .outcome = AUTH_ACCEPTED, .user = text("joe"), .good_ms = 1000 };

	source.kind = SOURCE_INTROSPECTION;
	source.epoch = NULL;
	credentials.method = METHOD_OAUTHBEARER;
	credentials.user = text("");
	auth_cache_put(cache, &question, &source, NOW, &answer);
	ck_assert_int_eq(get_at(NOW + 999), AUTH_ACCEPTED);
	ck_assert_int_eq(get_at(NOW + 1000), NOTHING);
	/* Tokens without a user name are many: they do not replace each other. */
	credentials.pass = text("another token");
	auth_cache_put(cache, &question, &source, NOW, &answer);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
	ck_assert_int_eq(get_with("sesame"), AUTH_ACCEPTED);
}
END_TEST

START_TEST(refusals_are_kept_only_if_asked_for)
{
	conf.negative = 0;
	put(AUTH_REFUSED);
	put(AUTH_UNKNOWN);
	conf.negative = NEGATIVE;
	ck_assert_int_eq(get(), NOTHING);
}
END_TEST

START_TEST(a_long_answer_is_not_kept_and_leaves_the_old_one)
{
	static char name[AUTHCACHE_TEXT + 1];
	const struct auth_answer answer = { .outcome = AUTH_ACCEPTED, .epoch = 7, .user = name };
	size_t len = AUTHCACHE_TEXT + 1;
	bool kept = false;

	put(AUTH_ACCEPTED);
	memset(name, 'x', AUTHCACHE_TEXT);
	while (!kept && --len > 0) {
		struct auth_answer out;

		name[len] = '\0';
		auth_cache_put(cache, &question, &source, NOW, &answer);
		ck_assert(auth_cache_get(cache, &question, &source, NOW, &out));
		kept = strlen(out.user) == len;
		ck_assert(kept || strcmp(out.user, "joe@example.org") == 0);
		auth_answer_reset(&out);
	}
	ck_assert_uint_gt(len, AUTHCACHE_TEXT - 64);
}
END_TEST

/* The entry of the one answer that was put, as whoever has the memory sees it. */
static unsigned char *
memory_of(const struct zone *zone, size_t *len)
{
	off_t size = lseek(zone_fd(zone), 0, SEEK_END);
	unsigned char *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, zone_fd(zone), 0);

	ck_assert_ptr_ne(bytes, MAP_FAILED);
	*len = ZONE_BYTES;              /* ledgers follow */
	return bytes;
}

/* Flips a bit in each byte of the entry in turn: nothing but the same answer ever comes out. */
START_TEST(a_changed_entry_is_a_miss)
{
	struct authcache_entry *entry;
	unsigned char *bytes, *until;
	uint64_t until_ms = NOW + TTL;
	size_t len;

	put(AUTH_ACCEPTED);
	bytes = memory_of(accepted_zone, &len);
	until = memmem(bytes, len, &until_ms, sizeof(until_ms));
	ck_assert_ptr_nonnull(until);
	entry = (struct authcache_entry *)(void *)(until - offsetof(struct authcache_entry, until_ms));
	for (unsigned char *at = until; at < (unsigned char *)(entry + 1); at++) {
		*at ^= 1;
		ck_assert_int_eq(get(), NOTHING);
		*at ^= 1;
		ck_assert_int_eq(get(), AUTH_ACCEPTED);
	}
}
END_TEST

START_TEST(an_entry_in_anothers_place_is_a_miss)
{
	struct authcache_entry *entries[2], kept;
	unsigned char *bytes;
	size_t len;

	bytes = memory_of(accepted_zone, &len);
	for (size_t i = 0; i < 2; i++) {
		uint64_t until_ms = NOW + TTL;
		unsigned char *until;

		credentials.user = text(i == 0 ? "joe" : "jim");
		put(AUTH_ACCEPTED);
		until = memmem(bytes, len, &until_ms, sizeof(until_ms));
		ck_assert_ptr_nonnull(until);
		entries[i] = (struct authcache_entry *)(void *)(until - offsetof(struct authcache_entry, until_ms));
		if (i == 0) {           /* out of sight of the second search */
			kept = *entries[0];
			entries[0]->until_ms = 0;
		}
	}
	*entries[1] = kept;
	ck_assert_int_eq(get(), NOTHING);
	*entries[0] = kept;
	credentials.user = text("joe");
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

START_TEST(no_secret_stands_in_the_memory)
{
	const struct auth_answer answer = {
		.outcome = AUTH_ACCEPTED, .epoch = 7, .user = text("joe@backend"), .pass = text("backend-password"),
	};
	static const char *const words[] = {
		"sesame", "wrong-guess", "joe@backend", "backend-password", "no-such-reason",
	};
	const struct zone *zones[] = { accepted_zone, refused_zone };
	const struct auth_answer no = { .outcome = AUTH_REFUSED, .epoch = 7, .reason = text("no-such-reason") };

	auth_cache_put(cache, &question, &source, NOW, &answer);
	credentials.pass = text("wrong-guess");
	auth_cache_put(cache, &question, &source, NOW, &no);
	for (size_t z = 0; z < 2; z++) {
		size_t len;
		unsigned char *bytes = memory_of(zones[z], &len);

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			ck_assert_ptr_null(memmem(bytes, len, words[i], strlen(words[i])));
		ck_assert_ptr_null(memmem(bytes, len, secret, sizeof(secret)));
	}
}
END_TEST

/* What the cache of a process knows, another one finds. */
START_TEST(processes_share_it)
{
	pid_t child;
	int status;

	child = fork();
	ck_assert_int_ne(child, -1);
	if (child == 0) {
		struct auth_cache *other = auth_cache_new(SLOT + 1);
		const struct auth_answer yes = { .outcome = AUTH_ACCEPTED, .epoch = 7 };

		auth_cache_put(other, &question, &source, NOW, &yes);
		auth_cache_free(&other);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(get(), AUTH_ACCEPTED);
}
END_TEST

START_TEST(a_full_cache_forgets_and_goes_on)
{
	char name[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "user %d", i);
		credentials.user = name;
		put(AUTH_ACCEPTED);
		ck_assert_int_eq(get(), AUTH_ACCEPTED);
	}
	snprintf(name, sizeof(name), "user 0");
	ck_assert_int_eq(get(), NOTHING);
}
END_TEST

START_TEST(where_there_is_no_cache_nothing_is_found)
{
	struct auth_cache *none = NULL;
	struct auth_answer answer = { .outcome = AUTH_ACCEPTED, .epoch = 7 };

	auth_cache_put(none, &question, &source, NOW, &answer);
	ck_assert(!auth_cache_get(none, &question, &source, NOW, &answer));
	conf.accepted = NULL;           /* the master had no memory for it */
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get(), NOTHING);
	server.auth_cache = NULL;
	put(AUTH_ACCEPTED);
	ck_assert_int_eq(get(), NOTHING);
	auth_cache_free(&none);
}
END_TEST

#define COUNT(cases) ((int)(sizeof(cases) / sizeof((cases)[0])))

Suite *
auth_cache_suite(void)
{
	Suite *suite = suite_create("auth_cache");
	TCase *tcase = tcase_create("auth_cache");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, an_answer_comes_back_whole, 0, 4);
	tcase_add_loop_test(tcase, another_question_finds_nothing, 0, 2 * COUNT(changes));
	tcase_add_test(tcase, the_same_question_finds_it_whatever_does_not_decide);
	tcase_add_loop_test(tcase, an_http_server_may_go_by_all_that_it_hears, 0, COUNT(http_changes));
	tcase_add_test(tcase, a_wrong_password_never_evicts_a_right_one);
	tcase_add_test(tcase, a_new_password_takes_the_old_ones_place);
	tcase_add_test(tcase, what_proved_wrong_is_asked_about_again);
	tcase_add_test(tcase, what_has_taken_its_place_stays);
	tcase_add_test(tcase, time_ends_what_is_kept);
	tcase_add_test(tcase, a_shorter_life_is_obeyed_by_what_is_kept_already);
	tcase_add_test(tcase, an_answer_from_another_file_is_void);
	tcase_add_test(tcase, an_answer_that_does_not_say_from_which_file_is_not_kept);
	tcase_add_loop_test(tcase, only_what_can_be_believed_again_is_kept, 0, COUNT(kinds));
	tcase_add_test(tcase, a_token_is_believed_until_it_expires);
	tcase_add_test(tcase, refusals_are_kept_only_if_asked_for);
	tcase_add_test(tcase, a_long_answer_is_not_kept_and_leaves_the_old_one);
	tcase_add_test(tcase, a_changed_entry_is_a_miss);
	tcase_add_test(tcase, an_entry_in_anothers_place_is_a_miss);
	tcase_add_test(tcase, no_secret_stands_in_the_memory);
	tcase_add_test(tcase, processes_share_it);
	tcase_add_test(tcase, a_full_cache_forgets_and_goes_on);
	tcase_add_test(tcase, where_there_is_no_cache_nothing_is_found);
	suite_add_tcase(suite, tcase);
	return suite;
}

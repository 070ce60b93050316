#include "common/tlsctx.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/certbox.h"
#include "test/unit/tlsscene.h"
#include "test/unit/unit.h"

#define SLOT 1

/* ---- what is shared ---- */

START_TEST(equal_settings_share_a_context)
{
	struct conf_tls other;

	scene_build();
	other = scene_server;
	other.context = NULL;
	other.place.line = 7;
	scene_build_server(&other);
	ck_assert_ptr_eq(other.context, scene_server.context);
	tlsctx_release(&other.context);
	/* And the next load finds it again. */
	tlspool_load(scene_pool, true);
	scene_build_server(&other);
	ck_assert_ptr_eq(other.context, scene_server.context);
	tlsctx_release(&other.context);
}
END_TEST

START_TEST(servers_that_differ_in_certificates_alone_share_the_rest)
{
	struct conf_tls other;

	scene_build();
	other = scene_server;
	other.context = NULL;
	scene_certify(&other, "rsa");
	scene_build_server(&other);
	ck_assert_ptr_ne(other.context, scene_server.context);
	ck_assert_ptr_eq(tlsctx_ssl(other.context), tlsctx_ssl(scene_server.context));
	tlsctx_release(&other.context);
}
END_TEST

START_TEST(other_settings_are_another_context)
{
	struct conf_tls other;

	scene_build();
	other = scene_server;
	other.context = NULL;
	other.verify = SSL_VERIFY_OPTIONAL_NO_CA;
	scene_build_server(&other);
	ck_assert_ptr_ne(tlsctx_ssl(other.context), tlsctx_ssl(scene_server.context));
	tlsctx_release(&other.context);
}
END_TEST

START_TEST(a_file_that_changed_is_read_again)
{
	struct conf_tls other;

	certbox_issue(&(struct certbox_request){ .name = "renewed", .ca = "ca" });
	scene_certify(&scene_server, "renewed");
	scene_build();
	other = scene_server;
	other.context = NULL;
	certbox_issue(&(struct certbox_request){ .name = "renewed", .ca = "ca" });
	scene_build_server(&other);
	ck_assert_ptr_ne(other.context, scene_server.context);
	ck_assert_ptr_ne(tlsctx_certificate(other.context, 0), tlsctx_certificate(scene_server.context, 0));
	ck_assert_ptr_eq(tlsctx_ssl(other.context), tlsctx_ssl(scene_server.context));
	tlsctx_release(&other.context);
}
END_TEST

START_TEST(what_is_not_inherited_is_read_again)
{
	struct conf_tls other;

	scene_build();
	other = scene_server;
	other.context = NULL;
	tlspool_load(scene_pool, false);
	scene_build_server(&other);
	ck_assert_ptr_ne(tlsctx_certificate(other.context, 0), tlsctx_certificate(scene_server.context, 0));
	tlsctx_release(&other.context);
}
END_TEST

/* ---- sessions ---- */

static const unsigned versions[] = { SSL_PROTOCOL_TLSV1_2, SSL_PROTOCOL_TLSV1_3 };

static void
prepare(int i, enum ssl_cache cache, bool tickets)
{
	scene_client.protocols = versions[i % 2];
	scene_server.cache = cache;
	scene_server.cache_zone = cache == SSL_CACHE_SHARED ? "A" : NULL;
	scene_server.cache_bytes = 1 << 20;
	scene_server.tickets = tickets;
	tlsctx_use_slot(SLOT);
	scene_session_count = 0;
	scene_build();
}

/* The server's context is another one now, as after a reload that read everything afresh. */
static void
renew_server(void)
{
	SSL_CTX *before = tlsctx_ssl(scene_server.context);
	struct conf_tls old = scene_server;

	scene_server.context = NULL;
	tlspool_load(scene_pool, false);
	scene_build_server(&scene_server);
	ck_assert_ptr_ne(tlsctx_ssl(scene_server.context), before);
	tlsctx_release(&old.context);
}

START_TEST(a_ticket_resumes)
{
	prepare(_i, SSL_CACHE_NONE, true);
	ck_assert(!scene_resumes("imap"));
	ck_assert_uint_eq(scene_session_count, 1);
	ck_assert(scene_resumes("imap"));
	renew_server();
	ck_assert(scene_resumes("imap"));
}
END_TEST

START_TEST(a_ticket_outlives_one_rotation)
{
	prepare(_i, SSL_CACHE_NONE, true);
	ck_assert(!scene_resumes("imap"));
	tlspool_rotate_tickets(scene_pool);
	ck_assert(scene_resumes("imap"));
	/* It was given a new one, so that a busy client never falls out. */
	tlspool_rotate_tickets(scene_pool);
	ck_assert(scene_resumes("imap"));
	tlspool_rotate_tickets(scene_pool);
	tlspool_rotate_tickets(scene_pool);
	ck_assert(!scene_resumes("imap"));
}
END_TEST

START_TEST(a_session_resumes_by_its_id_across_contexts)
{
	prepare(_i, SSL_CACHE_SHARED, false);
	ck_assert(!scene_resumes("imap"));
	ck_assert(scene_resumes("imap"));
	renew_server();
	ck_assert(scene_resumes("imap"));
}
END_TEST

/* A long one: the client's certificate is in it. */
START_TEST(a_session_with_a_certificate_resumes)
{
	scene_server.verify = SSL_VERIFY_ON;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_certify(&scene_client, "good");
	prepare(_i, SSL_CACHE_SHARED, false);
	ck_assert(!scene_resumes("imap"));
	ck_assert(scene_resumes("imap"));
	renew_server();
	ck_assert(scene_resumes("imap"));
}
END_TEST

START_TEST(another_zone_knows_nothing)
{
	prepare(_i, SSL_CACHE_SHARED, false);
	ck_assert(!scene_resumes("imap"));
	scene_server.cache_zone = "B";
	renew_server();
	ck_assert(!scene_resumes("imap"));
}
END_TEST

START_TEST(without_cache_and_tickets_nothing_resumes)
{
	prepare(_i, _i < 2 ? SSL_CACHE_NONE : SSL_CACHE_OFF, false);
	ck_assert(!scene_resumes("imap"));
	ck_assert(!scene_resumes("imap"));
	if (_i % 2 == 1)
		ck_assert_uint_eq(scene_session_count, 0);
}
END_TEST

START_TEST(the_builtin_cache_is_the_contexts)
{
	prepare(_i, SSL_CACHE_BUILTIN, false);
	ck_assert(!scene_resumes("imap"));
	ck_assert(scene_resumes("imap"));
	renew_server();
	ck_assert(!scene_resumes("imap"));
}
END_TEST

START_TEST(a_session_is_nothing_to_another_protocol)
{
	prepare(_i, SSL_CACHE_NONE, true);
	ck_assert(!scene_resumes("imap"));
	ck_assert(!scene_resumes("smtp"));
}
END_TEST

/* A revoked client must not live on by its session. */
START_TEST(a_new_crl_ends_the_sessions)
{
	scene_server.verify = SSL_VERIFY_ON;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_server.crl = certbox_path("none.crl");
	scene_certify(&scene_client, "revoked");
	prepare(_i, SSL_CACHE_NONE, true);
	ck_assert(!scene_resumes("imap"));
	ck_assert(scene_resumes("imap"));
	scene_server.crl = certbox_path("revoked.crl");
	renew_server();
	ck_assert(!scene_resumes("imap"));
}
END_TEST

START_TEST(keys_from_files_are_the_same_elsewhere)
{
	struct tlspool *first = scene_pool;
	unsigned char bytes[80] = "key";
	const char *files[] = { certbox_path("ticket.key"), NULL };

	certbox_write("ticket.key", bytes, sizeof(bytes));
	scene_server.ticket_keys = files;
	prepare(_i, SSL_CACHE_NONE, true);
	ck_assert(!scene_resumes("imap"));
	tlspool_rotate_tickets(scene_pool);
	tlspool_rotate_tickets(scene_pool);
	ck_assert(scene_resumes("imap"));
	/* Another machine with the same file. */
	tlsctx_release(&scene_server.context);
	scene_pool = tlspool_new();
	scene_build_server(&scene_server);
	ck_assert(scene_resumes("imap"));
	tlsctx_release(&scene_server.context);
	tlspool_free(&scene_pool);
	scene_pool = first;
}
END_TEST

static const struct {
	uint64_t timeout_s;
	unsigned period_s;
} periods[] = {
	{ 1, 600 }, { 300, 600 }, { 3600, 3600 }, { 86400, 86400 }, { UINT64_C(10000000000), 86400 },
};

START_TEST(a_ticket_key_serves_as_long_as_a_session)
{
	scene_server.session_timeout_s = periods[_i].timeout_s;
	scene_build();
	ck_assert_uint_eq(tlspool_ticket_period(scene_pool), periods[_i].period_s);
	/* A load that comes to nothing changes nothing. */
	tlspool_load(scene_pool, true);
	ck_assert_uint_eq(tlspool_ticket_period(scene_pool), periods[_i].period_s);
}
END_TEST

START_TEST(the_system_s_store_is_read_again_when_it_has_changed)
{
	const char *store = certbox_path("system.pem");
	struct scene_meeting m;

	ck_assert_int_eq(symlink(certbox_path("other.pem"), store), 0);
	setenv("SSL_CERT_FILE", store, 1);
	scene_client.trusted_certificate = NULL;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(!m.done);
	scene_part(&m);
	ck_assert_int_eq(unlink(store), 0);
	ck_assert_int_eq(symlink(certbox_path("ca.pem"), store), 0);
	tlspool_load(scene_pool, true);
	/* While the old one is in use still. */
	{
		struct tlsctx *old = scene_client.context;

		scene_client.context = NULL;
		scene_build();
		m = scene_meet("server", NULL);
		ck_assert(m.done);
		scene_part(&m);
		tlsctx_release(&old);
	}
	unlink(store);
}
END_TEST

Suite *
tlspool_suite(void)
{
	Suite *suite = suite_create("tlspool");
	TCase *tcase = tcase_create("tlspool");

	tcase_add_unchecked_fixture(tcase, scene_files, scene_no_files);
	tcase_add_checked_fixture(tcase, scene_open, scene_close);
	tcase_add_test(tcase, equal_settings_share_a_context);
	tcase_add_test(tcase, servers_that_differ_in_certificates_alone_share_the_rest);
	tcase_add_test(tcase, other_settings_are_another_context);
	tcase_add_test(tcase, a_file_that_changed_is_read_again);
	tcase_add_test(tcase, what_is_not_inherited_is_read_again);
	tcase_add_loop_test(tcase, a_ticket_resumes, 0, 2);
	tcase_add_loop_test(tcase, a_ticket_outlives_one_rotation, 0, 2);
	tcase_add_loop_test(tcase, a_session_resumes_by_its_id_across_contexts, 0, 2);
	tcase_add_loop_test(tcase, a_session_with_a_certificate_resumes, 0, 2);
	tcase_add_loop_test(tcase, another_zone_knows_nothing, 0, 2);
	tcase_add_loop_test(tcase, without_cache_and_tickets_nothing_resumes, 0, 4);
	tcase_add_loop_test(tcase, the_builtin_cache_is_the_contexts, 0, 2);
	tcase_add_loop_test(tcase, a_session_is_nothing_to_another_protocol, 0, 2);
	tcase_add_loop_test(tcase, a_new_crl_ends_the_sessions, 0, 2);
	tcase_add_loop_test(tcase, keys_from_files_are_the_same_elsewhere, 0, 2);
	tcase_add_test(tcase, the_system_s_store_is_read_again_when_it_has_changed);
	tcase_add_loop_test(tcase, a_ticket_key_serves_as_long_as_a_session, 0, UNIT_COUNT(periods));
	suite_add_tcase(suite, tcase);
	return suite;
}

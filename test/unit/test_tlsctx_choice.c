#include "common/tlsctx.h"

#include <openssl/err.h>
#include <string.h>

#include "test/unit/certbox.h"
#include "test/unit/tlsscene.h"
#include "test/unit/unit.h"

static struct conf_tls second;
static char asked[300];
static unsigned asked_count;

static const struct conf_tls *
choose(struct tls_choice *choice, const char *sni)
{
	(void)choice;
	asked_count++;
	strcpy(asked, sni == NULL ? "(none)" : sni);
	return strcmp(asked, "rsa") == 0 ? &second : &scene_server;
}

static struct scene_meeting
meet_at_choice(const char *host)
{
	struct tls_choice choice = { choose };
	struct scene_meeting m = scene_prepare(host, NULL, &choice);

	asked_count = 0;
	m.done = certbox_shake(m.client, m.server);
	ck_assert_uint_eq(asked_count, 1);
	return m;
}

static void
drop_second(void)
{
	tlsctx_release(&second.context);
}

/* A second server that differs from the first in all that SNI can change. */
static void
build_second(void)
{
	second = scene_server;
	second.context = NULL;
	second.verify = SSL_VERIFY_ON;
	second.client_certificate = certbox_path("ca.pem");
	second.protocols = SSL_PROTOCOL_TLSV1_2;
	second.prefer_server_ciphers = true;
	scene_certify(&second, "rsa");
	scene_build_server(&second);
}

START_TEST(the_name_chooses_certificate_and_settings)
{
	struct scene_meeting m;
	long error;

	scene_build();
	build_second();
	m = meet_at_choice("RSA.");
	ck_assert_str_eq(asked, "rsa");
	ck_assert(m.done);
	ck_assert_ptr_eq(tlsctx_settings(m.server), &second);
	ck_assert_int_eq(SSL_version(m.server), TLS1_2_VERSION);
	ck_assert_int_eq(tlsctx_verdict(m.server, &error), TLS_NO_CERTIFICATE);
	ck_assert(SSL_get_options(m.server) & SSL_OP_CIPHER_SERVER_PREFERENCE);
	ck_assert_str_eq(SSL_get_servername(m.server, TLSEXT_NAMETYPE_host_name), "RSA");
	scene_part(&m);
	m = meet_at_choice("server");
	ck_assert(m.done);
	ck_assert_ptr_eq(tlsctx_settings(m.server), &scene_server);
	ck_assert_int_eq(SSL_version(m.server), TLS1_3_VERSION);
	ck_assert_int_eq(tlsctx_verdict(m.server, &error), TLS_WELCOME);
	scene_part(&m);
}
END_TEST

/* From the stricter to the laxer: nothing of the first stays. */
START_TEST(the_first_server_leaves_nothing_behind)
{
	struct tls_choice choice = { choose };
	struct scene_meeting m;
	long error;

	scene_server.verify = SSL_VERIFY_ON;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_server.protocols = SSL_PROTOCOL_TLSV1_2;
	scene_server.curves = "P-521";
	scene_build();
	second = scene_server;
	second.context = NULL;
	second.verify = SSL_VERIFY_OFF;
	second.client_certificate = NULL;
	second.protocols = SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3;
	second.curves = "auto";
	scene_certify(&second, "rsa");
	scene_build_server(&second);
	m = scene_prepare("rsa", NULL, &choice);
	SSL_set1_groups_list(m.client, "X25519");
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	ck_assert_int_eq(SSL_version(m.server), TLS1_3_VERSION);
	ck_assert_int_eq(tlsctx_verdict(m.server, &error), TLS_WELCOME);
	ck_assert_int_eq(SSL_get_verify_mode(m.server), SSL_VERIFY_NONE);
	scene_part(&m);
}
END_TEST

START_TEST(without_a_name_the_choice_is_told_so)
{
	struct scene_meeting m;

	scene_client.send_sni = false;
	scene_build();
	build_second();
	m = meet_at_choice("server");
	ck_assert(m.done);
	ck_assert_str_eq(asked, "(none)");
	scene_part(&m);
	scene_client.send_sni = true;
	m = meet_at_choice("192.0.2.1");        /* an address is no name */
	ck_assert(m.done);
	ck_assert_str_eq(asked, "(none)");
	scene_part(&m);
}
END_TEST

/* A HelloRetryRequest brings a second ClientHello: the choice stands. */
START_TEST(a_second_hello_chooses_nothing)
{
	struct tls_choice choice = { choose };
	struct scene_meeting m;

	scene_server.curves = "P-256";
	scene_build();
	build_second();
	m = scene_prepare("server", NULL, &choice);
	SSL_set1_groups_list(m.client, "X25519:P-256");
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	ck_assert_uint_eq(asked_count, 1);
	scene_part(&m);
}
END_TEST

START_TEST(a_server_may_refuse_to_shake_hands)
{
	struct scene_meeting m;

	scene_build();
	build_second();
	second.reject_handshake = true;
	m = meet_at_choice("rsa");
	ck_assert(!m.done);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	scene_part(&m);
	m = meet_at_choice("server");
	ck_assert(m.done);
	scene_part(&m);
}
END_TEST

START_TEST(who_refuses_needs_no_certificate)
{
	struct scene_meeting m;
	char why[256];

	scene_certify(&scene_server, NULL);
	ck_assert_ptr_null(tlsctx_server(scene_pool, &scene_server, why, sizeof(why)));
	scene_server.reject_handshake = true;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(!m.done);
	scene_part(&m);
}
END_TEST

Suite *
tlsctx_choice_suite(void)
{
	Suite *suite = suite_create("tlsctx_choice");
	TCase *tcase = tcase_create("tlsctx_choice");

	tcase_add_unchecked_fixture(tcase, scene_files, scene_no_files);
	tcase_add_checked_fixture(tcase, scene_open, scene_close);
	tcase_add_checked_fixture(tcase, NULL, drop_second);
	tcase_add_test(tcase, the_name_chooses_certificate_and_settings);
	tcase_add_test(tcase, the_first_server_leaves_nothing_behind);
	tcase_add_test(tcase, without_a_name_the_choice_is_told_so);
	tcase_add_test(tcase, a_second_hello_chooses_nothing);
	tcase_add_test(tcase, a_server_may_refuse_to_shake_hands);
	tcase_add_test(tcase, who_refuses_needs_no_certificate);
	suite_add_tcase(suite, tcase);
	return suite;
}

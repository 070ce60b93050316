#include "common/tlsctx.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/tlscert.h"
#include "test/unit/certbox.h"
#include "test/unit/tlsscene.h"
#include "test/unit/unit.h"

#define BOTH (SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3)

/* ---- clients' certificates ---- */

static const struct {
	enum ssl_verify mode;
	const char *cert, *crl;
	enum tls_verdict verdict;
	long error;
	const char *text;
} clients[] = {
	{ SSL_VERIFY_OFF, "good", NULL, TLS_WELCOME, X509_V_OK, NULL },
	{ SSL_VERIFY_ON, "good", NULL, TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_ON, "good", "none.crl", TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_ON, "good", "revoked.crl", TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_ON, "revoked", "none.crl", TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_ON, "revoked", "revoked.crl", TLS_BAD_CERTIFICATE, X509_V_ERR_CERT_REVOKED,
	    "FAILED:certificate revoked" },
	{ SSL_VERIFY_ON, "expired", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_CERT_HAS_EXPIRED,
	    "FAILED:certificate has expired" },
	{ SSL_VERIFY_ON, "stranger", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "FAILED:unable to get local issuer certificate" },
	{ SSL_VERIFY_ON, "lonely", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "FAILED:self-signed certificate" },
	{ SSL_VERIFY_ON, NULL, NULL, TLS_NO_CERTIFICATE, X509_V_OK, "NONE" },
	{ SSL_VERIFY_OPTIONAL, "good", NULL, TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_OPTIONAL, NULL, NULL, TLS_WELCOME, X509_V_OK, "NONE" },
	{ SSL_VERIFY_OPTIONAL, "stranger", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "FAILED:unable to get local issuer certificate" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, NULL, NULL, TLS_WELCOME, X509_V_OK, "NONE" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "good", NULL, TLS_WELCOME, X509_V_OK, "SUCCESS" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "lonely", NULL, TLS_WELCOME, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "FAILED:self-signed certificate" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "lonely", "none.crl", TLS_WELCOME, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "FAILED:self-signed certificate" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "stranger", NULL, TLS_WELCOME, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "FAILED:unable to get local issuer certificate" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "stranger", "none.crl", TLS_WELCOME, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "FAILED:unable to get local issuer certificate" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "expired", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_CERT_HAS_EXPIRED,
	    "FAILED:certificate has expired" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "revoked", "revoked.crl", TLS_BAD_CERTIFICATE, X509_V_ERR_CERT_REVOKED,
	    "FAILED:certificate revoked" },
	{ SSL_VERIFY_OPTIONAL_NO_CA, "old stranger", NULL, TLS_BAD_CERTIFICATE, X509_V_ERR_CERT_HAS_EXPIRED,
	    "FAILED:certificate has expired" },
};

static void
check_client(int i, const SSL *server)
{
	const char *text;
	char room[128];
	long error;

	ck_assert_int_eq(tlsctx_verdict(server, &error), clients[i].verdict);
	ck_assert_int_eq(error, clients[i].error);
	text = tlsctx_verify_text(server, room, sizeof(room));
	if (clients[i].text == NULL)
		ck_assert_ptr_null(text);
	else
		ck_assert_str_eq(text, clients[i].text);
}

static void
judge(int i, unsigned protocol)
{
	struct scene_meeting m;

	scene_server.verify = clients[i].mode;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_server.crl = clients[i].crl == NULL ? NULL : certbox_path(clients[i].crl);
	scene_client.protocols = protocol;
	scene_certify(&scene_client, clients[i].cert);
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(m.done);
	check_client(i, m.server);
	scene_part(&m);
}

START_TEST(a_client_is_judged_by_its_certificate)
{
	certbox_issue(
	    &(struct certbox_request){ .name = "old stranger", .ca = "other", .from = -7200, .until = -3600 });
	judge(_i, SSL_PROTOCOL_TLSV1_2);
	judge(_i, SSL_PROTOCOL_TLSV1_3);
}
END_TEST

/* What was found about a certificate goes with the session. */
START_TEST(a_resumed_client_is_judged_as_before)
{
	struct scene_meeting m;

	scene_server.verify = SSL_VERIFY_OPTIONAL_NO_CA;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_certify(&scene_client, "lonely");
	scene_build();
	ck_assert(!scene_resumes("imap"));
	m = scene_prepare("server", NULL, NULL);
	ck_assert_int_eq(SSL_set_session(m.client, scene_session), 1);
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done && SSL_session_reused(m.server));
	check_client(15, m.server);
	scene_part(&m);
}
END_TEST

/* But a certificate that ends meanwhile takes it along. Here the first server's clock does not run. */
START_TEST(a_session_does_not_outlive_its_certificate)
{
	struct scene_meeting m;
	long error;

	scene_server.verify = _i == 0 ? SSL_VERIFY_ON : SSL_VERIFY_OPTIONAL_NO_CA;
	scene_server.client_certificate = certbox_path(_i == 0 ? "ca.pem" : "other.pem");
	scene_certify(&scene_client, "expired");
	scene_build();
	m = scene_prepare("server", NULL, NULL);
	X509_VERIFY_PARAM_set_flags(SSL_get0_param(m.server), X509_V_FLAG_NO_CHECK_TIME);
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	certbox_talk(m.client, m.server);
	ck_assert_int_eq(tlsctx_verdict(m.server, &error), TLS_WELCOME);
	scene_part(&m);
	m = scene_prepare("server", NULL, NULL);
	ck_assert_int_eq(SSL_set_session(m.client, scene_session), 1);
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done && SSL_session_reused(m.server));
	ck_assert_int_eq(tlsctx_verdict(m.server, &error), TLS_BAD_CERTIFICATE);
	ck_assert_int_eq(error, X509_V_ERR_CERT_HAS_EXPIRED);
	scene_part(&m);
}
END_TEST

START_TEST(only_names_that_are_to_be_shown_are_sent)
{
	struct scene_meeting m;

	scene_server.verify = SSL_VERIFY_OPTIONAL;
	scene_server.client_certificate = certbox_path("other.pem");
	scene_server.trusted_certificate = certbox_path("ca.pem");
	scene_client.protocols = SSL_PROTOCOL_TLSV1_2;
	scene_certify(&scene_client, "good");
	scene_build();
	m = scene_prepare("server", NULL, NULL);
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	ck_assert_int_eq(sk_X509_NAME_num(SSL_get_client_CA_list(m.client)), 1);
	ck_assert_ptr_nonnull(SSL_get0_peer_certificate(m.server));
	ck_assert_int_eq(SSL_get_verify_result(m.server), X509_V_OK);
	scene_part(&m);
}
END_TEST

/* ---- ALPN ---- */

static const struct {
	const char *wire;       /* as the extension has it; NULL: none */
	bool done;
} alpns[] = {
	{ NULL, true },
	{ "\4imap", true },
	{ "\2h2\4imap", true },
	{ "\2h2\10http/1.1", false },
	{ "\4pop3", false },
	{ "\3ima", false },
	{ "\5imaps", false },
	{ "\4IMAP", false },
};

START_TEST(a_client_of_another_protocol_is_turned_away)
{
	struct scene_meeting m;
	const char *wire = alpns[_i].wire;

	scene_build();
	m = scene_prepare("server", NULL, NULL);
	if (wire != NULL)
		SSL_set_alpn_protos(m.client, (const unsigned char *)wire, (unsigned)strlen(wire));
	m.done = certbox_shake(m.client, m.server);
	ck_assert_int_eq(m.done, alpns[_i].done);
	if (!m.done)
		ck_assert_int_eq(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
	scene_part(&m);
}
END_TEST

START_TEST(a_peer_is_told_what_is_spoken)
{
	const unsigned char *alpn;
	struct scene_meeting m;
	unsigned len;

	scene_build();
	m = scene_meet("server", "imap");
	ck_assert(m.done);
	SSL_get0_alpn_selected(m.client, &alpn, &len);
	ck_assert_uint_eq(len, 4);
	ck_assert_mem_eq(alpn, "imap", 4);
	scene_part(&m);
}
END_TEST

/* ---- peers ---- */

static const struct {
	const char *cert, *host, *name, *trusted, *crl;
	enum ssl_verify verify;
	long error;             /* X509_V_OK: it is believed */
} peers[] = {
	{ "server", "server", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_OK },
	{ "server", "SERVER.", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_OK },
	{ "server", "192.0.2.1", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_OK },
	{ "server", NULL, "server", "ca.pem", NULL, SSL_VERIFY_ON, X509_V_OK },
	{ "server", "server", NULL, "ca.pem", "revoked.crl", SSL_VERIFY_ON, X509_V_OK },
	{ "server", "192.0.2.2", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_IP_ADDRESS_MISMATCH },
	{ "server", "elsewhere", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_HOSTNAME_MISMATCH },
	{ "server", "server", "elsewhere", "ca.pem", NULL, SSL_VERIFY_ON, X509_V_OK },     /* the caller knows better */
	{ "server", NULL, "elsewhere", "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_HOSTNAME_MISMATCH },
	{ "server", NULL, NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_HOSTNAME_MISMATCH },
	{ "server", "", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_HOSTNAME_MISMATCH },
	{ "server", ".", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_HOSTNAME_MISMATCH },
	{ "server", "server", NULL, "other.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
	{ "lonely", "lonely", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT },
	{ "expired", "expired", NULL, "ca.pem", NULL, SSL_VERIFY_ON, X509_V_ERR_CERT_HAS_EXPIRED },
	{ "revoked", "revoked", NULL, "ca.pem", "revoked.crl", SSL_VERIFY_ON, X509_V_ERR_CERT_REVOKED },
	{ "revoked", "elsewhere", NULL, NULL, NULL, SSL_VERIFY_OFF, X509_V_OK },
};

START_TEST(a_peer_is_believed_or_not)
{
	struct scene_meeting m;

	scene_certify(&scene_server, peers[_i].cert);
	scene_client.verify = peers[_i].verify;
	scene_client.name = peers[_i].name;
	scene_client.trusted_certificate = peers[_i].trusted == NULL ? NULL : certbox_path(peers[_i].trusted);
	scene_client.crl = peers[_i].crl == NULL ? NULL : certbox_path(peers[_i].crl);
	scene_build();
	m = scene_meet(peers[_i].host, NULL);
	ck_assert_int_eq(m.done, peers[_i].error == X509_V_OK);
	if (!m.done)
		ck_assert_int_eq(SSL_get_verify_result(m.client), peers[_i].error);
	scene_part(&m);
}
END_TEST

START_TEST(without_files_the_system_is_trusted)
{
	struct scene_meeting m;

	setenv("SSL_CERT_FILE", certbox_path("ca.pem"), 1);
	scene_client.trusted_certificate = NULL;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(m.done);
	scene_part(&m);
}
END_TEST

START_TEST(an_empty_store_is_refused)
{
	char why[1024];

	setenv("SSL_CERT_FILE", certbox_path("nothing.pem"), 1);
	setenv("SSL_CERT_DIR", certbox_path("nowhere"), 1);
	scene_client.trusted_certificate = NULL;
	ck_assert_ptr_null(tlsctx_peer(scene_pool, &scene_client, why, sizeof(why)));
	ck_assert_msg(strstr(why, "no CA certificates in the system's store (") == why, "%s", why);
	scene_client.verify = SSL_VERIFY_OFF;
	scene_build();
}
END_TEST

/* ---- certificates ---- */

/* Its path in the folder, or what else stands there. */
static const char *
path_of(const char *word)
{
	return strchr(word, '.') != NULL ? certbox_path(word) : word;
}

START_TEST(who_has_two_kinds_of_keys_gives_what_is_understood)
{
	const char *certs[] = { certbox_path("server.pem"), certbox_path("rsa.pem"), NULL };
	const char *keys[] = { certbox_path("server.key"), certbox_path("rsa.key"), NULL };
	struct scene_meeting m;

	scene_server.certificates = certs;
	scene_server.keys = keys;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(m.done);
	ck_assert_int_eq(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(m.client))), EVP_PKEY_EC);
	scene_part(&m);
	m = scene_prepare("rsa", NULL, NULL);
	SSL_set1_sigalgs_list(m.client, "RSA-PSS+SHA256:RSA+SHA256");
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	ck_assert_int_eq(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(m.client))), EVP_PKEY_RSA);
	ck_assert_str_eq(tlscert_path(tlsctx_certificate(scene_server.context, 1)), certs[1]);
	ck_assert_ptr_null(tlsctx_certificate(scene_server.context, 2));
	scene_part(&m);
}
END_TEST

static const struct {
	const char *server, *staple_of;
	long until;
	bool sent;
} staples[] = {
	{ "server", "server", 3600, true },
	{ "server", "server", -10, false },
	{ "server", "good", 3600, false },
};

START_TEST(a_staple_goes_with_its_certificate_while_in_force)
{
	struct scene_meeting m;
	const unsigned char *got;
	char why[512];
	bool good = strcmp(staples[_i].staple_of, staples[_i].server) == 0;

	certbox_staple("ca", "staple.der", staples[_i].staple_of, staples[_i].until);
	scene_server.stapling_file = certbox_path("staple.der");
	if (!good) {
		ck_assert_ptr_null(tlsctx_server(scene_pool, &scene_server, why, sizeof(why)));
		ck_assert_msg(strstr(why, "is for none of the certificates") != NULL, "%s", why);
		return;
	}
	scene_build();
	ck_assert_int_ne(tlsctx_staple_expiry(scene_server.context), 0);
	m = scene_prepare("server", NULL, NULL);
	SSL_set_tlsext_status_type(m.client, TLSEXT_STATUSTYPE_ocsp);
	m.done = certbox_shake(m.client, m.server);
	ck_assert(m.done);
	ck_assert_int_eq(SSL_get_tlsext_status_ocsp_resp(m.client, &got) > 0, staples[_i].sent);
	scene_part(&m);
}
END_TEST

/* ---- settings that are no good ---- */

enum setting { CIPHERS, CURVES, DHPARAM, COMMAND, CLIENT_CA, CRL, STAPLE, PROTOCOLS, WEAK, KEYLESS, TICKET, ZONE };

static const struct {
	enum setting setting;
	const char *value, *why;
} refused[] = {
	{ CIPHERS, "NONESUCH",
	    "SSL_CTX_set_cipher_list(\"NONESUCH\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)" },
	{ CURVES, "P-256:moon", "SSL_CTX_set1_curves_list(\"P-256:moon\") failed" },
	{ DHPARAM, "none.pem", "BIO_new_file(\"/tmp/" },
	{ DHPARAM, "server.pem", "PEM_read_bio_DHparams(\"/tmp/" },
	{ COMMAND, "Nonsense", "SSL_CONF_cmd(\"Nonsense\", \"x\") failed (SSL: error:" },
	{ COMMAND, "MinProtocol", "SSL_CONF_cmd(\"MinProtocol\", \"x\") failed" },
	{ CLIENT_CA, "none.pem", "cannot load certificate \"/tmp/" },
	{ CLIENT_CA, "server.key", "PEM_read_bio_X509_AUX() failed (SSL: error:" },
	{ CRL, "server.pem", "cannot load CRL \"/tmp/" },
	{ CRL, "none.pem", "BIO_new_file() failed (SSL: error:80000002:" },
	{ STAPLE, "none.der", "BIO_new_file(\"/tmp/" },
	{ STAPLE, "server.pem", "d2i_OCSP_RESPONSE_bio(\"/tmp/" },
	{ PROTOCOLS, "", "none of the protocols exists any more" },
	{ WEAK, "weak", "SSL_CTX_use_certificate(\"/tmp/" },
	{ KEYLESS, "", "/server.pem\" has no key" },
	{ TICKET, "server.pem", "/server.pem\" must be 48 or 80 bytes" },
	{ ZONE, "", "session cache \"A\" of 10 bytes cannot be made (28: No space left on device)" },
};

static void
spoil(enum setting setting, const char *value)
{
	static struct conf_pair command, *commands[] = { &command, NULL };
	static const char *files[2];
	struct conf_tls *tls = &scene_server;

	command = (struct conf_pair){ value, "x" };
	files[0] = path_of(value);
	switch (setting) {
	case CIPHERS: tls->ciphers = value; break;
	case CURVES: tls->curves = value; break;
	case DHPARAM: tls->dhparam = files[0]; break;
	case COMMAND: tls->commands = commands; break;
	case CLIENT_CA: tls->client_certificate = files[0]; break;
	case CRL: tls->crl = files[0]; break;
	case STAPLE: tls->stapling_file = files[0]; break;
	case PROTOCOLS: tls->protocols = SSL_PROTOCOL_SSLV2 | SSL_PROTOCOL_SSLV3; break;
	case WEAK:
		certbox_issue(&(struct certbox_request){ .name = value, .rsa = true, .bits = 512 });
		scene_certify(tls, value);
		break;
	case KEYLESS: tls->keys = NULL; break;
	case TICKET: tls->ticket_keys = files; break;
	case ZONE:
		tls->cache = SSL_CACHE_SHARED;
		tls->cache_zone = "A";
		tls->cache_bytes = 10;
	}
}

START_TEST(settings_that_are_no_good_are_refused)
{
	char why[1024] = "";

	spoil(refused[_i].setting, refused[_i].value);
	ck_assert_ptr_null(tlsctx_server(scene_pool, &scene_server, why, sizeof(why)));
	ck_assert_msg(strstr(why, refused[_i].why) != NULL, "%s", why);
}
END_TEST

static const struct {
	unsigned server, client;
	int version;            /* 0: they do not agree */
} protocols[] = {
	{ BOTH, BOTH, TLS1_3_VERSION },
	{ BOTH | SSL_PROTOCOL_TLSV1 | SSL_PROTOCOL_TLSV1_1 | SSL_PROTOCOL_SSLV3, BOTH, TLS1_3_VERSION },
	{ SSL_PROTOCOL_TLSV1_2, BOTH, TLS1_2_VERSION },
	{ SSL_PROTOCOL_TLSV1_3, SSL_PROTOCOL_TLSV1_2, 0 },
	{ SSL_PROTOCOL_TLSV1_1 | SSL_PROTOCOL_TLSV1_3, SSL_PROTOCOL_TLSV1_2, 0 },
	{ SSL_PROTOCOL_TLSV1_1 | SSL_PROTOCOL_TLSV1_3, BOTH, TLS1_3_VERSION },
};

START_TEST(only_listed_protocols_are_spoken)
{
	struct scene_meeting m;

	scene_server.protocols = protocols[_i].server;
	scene_client.protocols = protocols[_i].client;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert_int_eq(m.done, protocols[_i].version != 0);
	if (m.done)
		ck_assert_int_eq(SSL_version(m.client), protocols[_i].version);
	scene_part(&m);
}
END_TEST

START_TEST(a_command_has_the_last_word)
{
	struct conf_pair command = { "Ciphersuites", "TLS_AES_128_GCM_SHA256" }, *commands[] = { &command, NULL };
	struct scene_meeting m;

	scene_server.commands = commands;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(m.done);
	ck_assert_str_eq(SSL_get_cipher_name(m.server), "TLS_AES_128_GCM_SHA256");
	scene_part(&m);
}
END_TEST

START_TEST(nobody_renegotiates)
{
	struct scene_meeting m;

	scene_client.protocols = SSL_PROTOCOL_TLSV1_2;
	scene_build();
	m = scene_meet("server", NULL);
	ck_assert(m.done);
	ck_assert_int_eq(SSL_renegotiate(m.server), 0);
	ck_assert_int_eq(SSL_renegotiate(m.client), 0);
	scene_part(&m);
}
END_TEST

/* ---- in a worker ---- */

START_TEST(a_handshake_opens_no_path)
{
	struct scene_meeting m;
	int status;
	pid_t pid;

	scene_server.verify = SSL_VERIFY_ON;
	scene_server.client_certificate = certbox_path("ca.pem");
	scene_certify(&scene_client, "good");
	scene_build();
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		/* Under valgrind there is no seccomp; the handshake is worth its while all the same. */
		if (sandbox_enter(SANDBOX_CLOSED) == -1 && errno != ENOSYS)
			_exit(8);
		m = scene_meet("server", "imap");
		_exit(m.done && SSL_get_verify_result(m.server) == X509_V_OK ? 0 : 9);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

Suite *
tlsctx_suite(void)
{
	Suite *suite = suite_create("tlsctx");
	TCase *tcase = tcase_create("tlsctx");

	tcase_add_unchecked_fixture(tcase, scene_files, scene_no_files);
	tcase_add_checked_fixture(tcase, scene_open, scene_close);
	tcase_add_loop_test(tcase, a_client_is_judged_by_its_certificate, 0, UNIT_COUNT(clients));
	tcase_add_test(tcase, a_resumed_client_is_judged_as_before);
	tcase_add_loop_test(tcase, a_session_does_not_outlive_its_certificate, 0, 2);
	tcase_add_test(tcase, only_names_that_are_to_be_shown_are_sent);
	tcase_add_loop_test(tcase, a_client_of_another_protocol_is_turned_away, 0, UNIT_COUNT(alpns));
	tcase_add_test(tcase, a_peer_is_told_what_is_spoken);
	tcase_add_loop_test(tcase, a_peer_is_believed_or_not, 0, UNIT_COUNT(peers));
	tcase_add_test(tcase, without_files_the_system_is_trusted);
	tcase_add_test(tcase, an_empty_store_is_refused);
	tcase_add_test(tcase, who_has_two_kinds_of_keys_gives_what_is_understood);
	tcase_add_loop_test(tcase, a_staple_goes_with_its_certificate_while_in_force, 0, UNIT_COUNT(staples));
	tcase_add_loop_test(tcase, settings_that_are_no_good_are_refused, 0, UNIT_COUNT(refused));
	tcase_add_loop_test(tcase, only_listed_protocols_are_spoken, 0, UNIT_COUNT(protocols));
	tcase_add_test(tcase, a_command_has_the_last_word);
	tcase_add_test(tcase, nobody_renegotiates);
	tcase_add_test(tcase, a_handshake_opens_no_path);
	suite_add_tcase(suite, tcase);
	return suite;
}

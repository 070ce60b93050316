#include "common/tlscert.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "test/unit/certbox.h"
#include "test/unit/unit.h"

static const char passwords[] = "wrong\r\n\nletmein\nunused\n";

static void
open_box(void)
{
	certbox_open();
	certbox_write("junk.pem", "junk\n", 5);
	certbox_write("passwords", passwords, sizeof(passwords) - 1);
	certbox_write("few", "wrong\n", 6);
	certbox_encrypt("server", "locked.key", "letmein");
	ck_assert_int_eq(mkfifo(certbox_path("fifo"), 0600), 0);
}

/* A path, or what is none as it is. */
static const char *
place(const char *text)
{
	static char stored[300];

	if (text == NULL || strncmp(text, "engine:", 7) == 0)
		return text;
	if (strncmp(text, "store:", 6) != 0)
		return certbox_path(text);
	snprintf(stored, sizeof(stored), "store:file:%s", certbox_path(text + 6));
	return stored;
}

static const struct {
	const char *cert, *key, *passwords;
	const char *why[2];     /* pieces of the reason; NULL: it loads */
} cases[] = {
	{ "server.pem", "server.key", NULL, { NULL } },
	{ "rsa.pem", "rsa.key", NULL, { NULL } },
	{ "server.pem", "server.key", "passwords", { NULL } },
	{ "server.pem", "server.key", "none", { NULL } },
	{ "server.pem", "locked.key", "passwords", { NULL } },
	{ "server.pem", "store:server.key", NULL, { NULL } },
	{ "server.pem", "store:locked.key", "passwords", { NULL } },
	{ "none.pem", "server.key", NULL, { "cannot load certificate \"/tmp/", "/none.pem\": BIO_new_file() failed (SSL: "
	    "error:80000002:system library::No such file or directory:calling fopen(" } },
	{ "junk.pem", "server.key", NULL, { "/junk.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines:",
	    "no start line" } },
	{ "server.pem", "none.key", NULL, { "cannot load certificate key \"/tmp/", "/none.key\": BIO_new_file() failed (SSL: "
	    "error:80000002:" } },
	{ "fifo", "server.key", NULL, { "/fifo\": BIO_new_file() failed (SSL: error:", "not a regular file)" } },
	{ "server.pem", "fifo", NULL, { "/fifo\": BIO_new_file() failed (SSL: error:", "not a regular file)" } },
	{ "server.pem", "junk.pem", NULL, { "/junk.pem\": PEM_read_bio_PrivateKey() failed (SSL: error:", ")" } },
	{ "server.pem", "rsa.key", NULL, { "SSL_CTX_use_PrivateKey(\"/tmp/", "key type mismatch)" } },
	{ "server.pem", "ca.key", NULL, { "SSL_CTX_use_PrivateKey(\"/tmp/", "key values mismatch)" } },
	{ "server.pem", "locked.key", NULL, { "cannot load certificate key \"/tmp/", "it is encrypted, and there is no "
	    "password file for it" } },
	/* One wrong password in 256 leaves a padding that looks right: then it is not "bad decrypt" that is said. */
	{ "server.pem", "locked.key", "few", { "/locked.key\": PEM_read_bio_PrivateKey() failed (SSL: ", "error:" } },
	{ "server.pem", "locked.key", "none", { "open() \"/tmp/", "/none\" failed (2: No such file or directory)" } },
	{ "server.pem", "store:none.key", NULL, { "cannot load certificate key \"store:file:/tmp/",
	    "OSSL_STORE_open() failed (SSL: error:" } },
	{ "server.pem", "engine:pkcs11:x", NULL, { "cannot load certificate key \"engine:pkcs11:x\": ",
	    "use \"store:scheme:id\"" } },
};

START_TEST(a_pair_loads_or_says_why)
{
	char why[1024] = "";
	struct tlscert *cert =
	    tlscert_load(place(cases[_i].cert), place(cases[_i].key), place(cases[_i].passwords), why, sizeof(why));

	ck_assert_msg((cert != NULL) == (cases[_i].why[0] == NULL), "%s", why);
	for (size_t i = 0; cert == NULL && i < 2; i++)
		ck_assert_msg(strstr(why, cases[_i].why[i]) != NULL, "%s not in: %s", cases[_i].why[i], why);
	tlscert_free(&cert);
	ck_assert_ptr_null(cert);
}
END_TEST

START_TEST(reasons_are_cut_to_their_room)
{
	char why[40];

	for (size_t size = 1; size <= sizeof(why); size++) {
		memset(why, 'x', sizeof(why));
		ck_assert_ptr_null(tlscert_load(certbox_path("none.pem"), "x", NULL, why, size));
		ck_assert_uint_eq(strlen(why), size - 1);
	}
}
END_TEST

START_TEST(the_expiry_is_that_of_the_certificate)
{
	char why[256];
	struct tlscert *cert;
	time_t left;

	certbox_issue(&(struct certbox_request){ .name = "late", .until = 5000 });
	cert = tlscert_load(certbox_path("late.pem"), certbox_path("late.key"), NULL, why, sizeof(why));
	ck_assert_ptr_nonnull(cert);
	ck_assert_str_eq(tlscert_path(cert), certbox_path("late.pem"));
	left = tlscert_expiry(cert) - time(NULL);
	ck_assert_msg(left > 4000 && left <= 5000, "%ld", (long)left);
	tlscert_free(&cert);
}
END_TEST

Suite *
tlscert_suite(void)
{
	Suite *suite = suite_create("tlscert");
	TCase *tcase = tcase_create("tlscert");

	tcase_add_unchecked_fixture(tcase, open_box, certbox_close);
	tcase_add_loop_test(tcase, a_pair_loads_or_says_why, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, reasons_are_cut_to_their_room);
	tcase_add_test(tcase, the_expiry_is_that_of_the_certificate);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "common/tlsticket.h"

#include <openssl/core_names.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/certbox.h"
#include "test/unit/unit.h"

/* What a ticket says about its key. */
struct seal {
	unsigned char name[16], iv[16], sealed[16], mac[32];
};

static void
add_mac(EVP_MAC_CTX *mac, const struct seal *seal, unsigned char *out)
{
	size_t len;

	ck_assert_int_eq(EVP_MAC_init(mac, NULL, 0, NULL), 1);
	ck_assert_int_eq(EVP_MAC_update(mac, seal->sealed, sizeof(seal->sealed)), 1);
	ck_assert_int_eq(EVP_MAC_final(mac, out, &len, 32), 1);
}

/* Seals, or opens and compares: the text and the MAC. */
static enum tlsticket_found
use(const struct tlsticket *ticket, struct seal *seal, int sealing)
{
	static const unsigned char text[16] = "sixteen letters";
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
	enum tlsticket_found found = tlsticket_prepare(ticket, seal->name, seal->iv, cipher, mac, sealing);
	unsigned char out[32];
	int len;

	if (found > TLSTICKET_UNKNOWN) {
		EVP_CIPHER_CTX_set_padding(cipher, 0);
		ck_assert_int_eq(EVP_CipherUpdate(cipher, out, &len, sealing ? text : seal->sealed, 16), 1);
		if (sealing) {
			memcpy(seal->sealed, out, 16);
			add_mac(mac, seal, seal->mac);
		} else {
			ck_assert_mem_eq(out, text, 16);
			add_mac(mac, seal, out);
			ck_assert_mem_eq(out, seal->mac, 32);
		}
	}
	EVP_MAC_CTX_free(mac);
	EVP_MAC_free(algorithm);
	EVP_CIPHER_CTX_free(cipher);
	return found;
}

START_TEST(an_old_key_opens_for_one_rotation)
{
	struct tlsticket *ticket = tlsticket_new();
	struct seal seal;

	ck_assert_int_eq(use(ticket, &seal, 1), TLSTICKET_CURRENT);
	ck_assert_int_eq(use(ticket, &seal, 0), TLSTICKET_CURRENT);
	tlsticket_rotate(ticket);
	ck_assert_int_eq(use(ticket, &seal, 0), TLSTICKET_OLD);
	tlsticket_rotate(ticket);
	ck_assert_int_eq(use(ticket, &seal, 0), TLSTICKET_UNKNOWN);
	tlsticket_free(&ticket);
}
END_TEST

START_TEST(no_two_pools_have_the_same_keys)
{
	struct tlsticket *ticket = tlsticket_new(), *other = tlsticket_new();
	struct seal seal;

	ck_assert_int_eq(use(ticket, &seal, 1), TLSTICKET_CURRENT);
	ck_assert_int_eq(use(other, &seal, 0), TLSTICKET_UNKNOWN);
	memset(seal.name, 0, sizeof(seal.name));
	ck_assert_int_eq(use(ticket, &seal, 0), TLSTICKET_UNKNOWN);
	tlsticket_free(&ticket);
	tlsticket_free(&other);
}
END_TEST

START_TEST(keys_that_are_handed_on_open_and_seal_for_both)
{
	struct tlsticket *old = tlsticket_new(), *new = tlsticket_new();
	struct seal before, now, later;
	struct tlsticket_keys keys;

	ck_assert_int_eq(use(old, &before, 1), TLSTICKET_CURRENT);
	tlsticket_rotate(old);
	tlsticket_export(old, &keys);
	tlsticket_import(new, &keys);
	ck_assert_int_eq(use(new, &before, 0), TLSTICKET_OLD);
	ck_assert_int_eq(use(old, &now, 1), TLSTICKET_CURRENT);
	ck_assert_int_eq(use(new, &now, 0), TLSTICKET_CURRENT);
	ck_assert_int_eq(use(new, &later, 1), TLSTICKET_CURRENT);
	ck_assert_int_eq(use(old, &later, 0), TLSTICKET_CURRENT);
	tlsticket_rotate(new);
	ck_assert_int_eq(use(new, &now, 0), TLSTICKET_OLD);
	tlsticket_free(&old);
	tlsticket_free(&new);
}
END_TEST

/* What a rotation in the master does is seen in a child; the child cannot do the like. */
START_TEST(a_child_sees_rotations_and_cannot_write)
{
	struct tlsticket *ticket = tlsticket_new();
	int pipes[2], status;
	struct seal seal;
	char byte;
	pid_t pid;

	ck_assert_int_eq(use(ticket, &seal, 1), TLSTICKET_CURRENT);
	tlsticket_settle(ticket);
	ck_assert_int_eq(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (read(pipes[0], &byte, 1) != 1 || use(ticket, &seal, 0) != TLSTICKET_OLD)
			_exit(9);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		tlsticket_rotate(ticket);
		_exit(8);
	}
	tlsticket_rotate(ticket);
	ck_assert_int_eq(write(pipes[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 1, "%x", (unsigned)status);
	tlsticket_free(&ticket);
}
END_TEST

static struct tlsticket *
load(const char *first, const char *second, char *why, size_t size)
{
	const char *paths[] = { certbox_path(first), second == NULL ? NULL : certbox_path(second), NULL };

	return tlsticket_load(paths, why, size);
}

static void
write_keys(void)
{
	unsigned char bytes[81];

	certbox_open();
	ck_assert_int_eq(mkfifo(certbox_path("fifo"), 0600), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	certbox_write("80", bytes, 80);
	certbox_write("81", bytes, 81);
	certbox_write("empty", bytes, 0);
	bytes[0] = 'x';
	certbox_write("48", bytes, 48);
}

START_TEST(the_first_file_seals_and_all_open)
{
	char why[256];
	struct tlsticket *both = load("80", "48", why, sizeof(why)), *turned = load("48", "80", why, sizeof(why));
	struct seal seal;

	ck_assert_ptr_nonnull(both);
	ck_assert_ptr_nonnull(turned);
	ck_assert_int_eq(use(both, &seal, 1), TLSTICKET_CURRENT);
	ck_assert_uint_eq(seal.name[0], 0);
	ck_assert_int_eq(use(turned, &seal, 0), TLSTICKET_OLD);
	ck_assert_int_eq(use(turned, &seal, 1), TLSTICKET_CURRENT);
	ck_assert_uint_eq(seal.name[0], 'x');
	ck_assert_int_eq(use(both, &seal, 0), TLSTICKET_OLD);
	tlsticket_free(&both);
	tlsticket_free(&turned);
}
END_TEST

static const struct {
	const char *file, *why;
} bad[] = {
	{ "81", "/81\" must be 48 or 80 bytes" },
	{ "fifo", "/fifo\" must be 48 or 80 bytes" },
	{ "empty", "/empty\" must be 48 or 80 bytes" },
	{ "none", "/none\" failed (2: No such file or directory)" },
};

START_TEST(a_file_of_another_size_is_refused)
{
	char why[256];

	ck_assert_ptr_null(load("80", bad[_i].file, why, sizeof(why)));
	ck_assert_msg(strstr(why, bad[_i].why) != NULL, "%s", why);
}
END_TEST

Suite *
tlsticket_suite(void)
{
	Suite *suite = suite_create("tlsticket");
	TCase *tcase = tcase_create("tlsticket");

	tcase_add_unchecked_fixture(tcase, write_keys, certbox_close);
	tcase_add_test(tcase, an_old_key_opens_for_one_rotation);
	tcase_add_test(tcase, no_two_pools_have_the_same_keys);
	tcase_add_test(tcase, keys_that_are_handed_on_open_and_seal_for_both);
	tcase_add_test(tcase, a_child_sees_rotations_and_cannot_write);
	tcase_add_test(tcase, the_first_file_seals_and_all_open);
	tcase_add_loop_test(tcase, a_file_of_another_size_is_refused, 0, UNIT_COUNT(bad));
	suite_add_tcase(suite, tcase);
	return suite;
}

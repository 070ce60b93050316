#include "master/conf_chain.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/capture.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

#define IMAP "listen 143; protocol imap; imap_auth "
#define POP3 "listen 110; protocol pop3; pop3_auth "

#define SILENT 0
#define HASHES METHODS_PASSWORD
#define PLAIN (METHODS_PASSWORD | METHODS_CHALLENGE)

/* What the helpers of the sources say, in the order of the text, and the complaint about it; NULL: there is none. */
static const struct {
	const char *mail;
	unsigned said[2];
	const char *complaint;
} cases[] = {
	{ "auth_file /a; server { " IMAP "plain cram-md5; }", { SILENT }, NULL },
	{ "auth_file /a; server { " IMAP "plain cram-md5; }", { PLAIN }, NULL },
	{ "auth_file /a; server { " IMAP "plain cram-md5; }", { HASHES },
	    "\"imap_auth cram-md5\" cannot be served by \"auth_file\" \"/a\"" },
	{ "auth_file /a; server { " IMAP "plain login; }", { HASHES }, NULL },
	{ "auth_file /a; server { " POP3 "plain apop; }", { HASHES },
	    "\"pop3_auth apop\" cannot be served by \"auth_file\" \"/a\"" },
	/* Only the server's own protocol counts. */
	{ "auth_file /a; server { listen 143; protocol imap; pop3_auth plain apop; }", { HASHES }, NULL },
	{ "auth_file /a; auth_file /b; server { " IMAP "cram-md5; }", { HASHES, PLAIN }, NULL },
	{ "auth_file /a; auth_file /b; server { " IMAP "cram-md5; }", { HASHES, HASHES },
	    "cannot be served by \"auth_file\" \"/b\"" },
	{ "auth_file /a; auth_http 127.0.0.1; server { " IMAP "cram-md5; }", { HASHES, SILENT }, NULL },
	{ "auth_file /a; server { " IMAP "plain; }"
	    " server { listen 144; auth_file /b; protocol imap; imap_auth cram-md5; }", { PLAIN, HASHES },
	    "cannot be served by \"auth_file\" \"/b\"" },
};

START_TEST(what_helpers_cannot_answer_is_refused)
{
	struct confbox box;
	char *text = mem_printf("events { } mail { %s }", cases[_i].mail);
	struct conf *conf;
	int result;

	confbox_open(&box);
	conf = confbox_load(&box, text);
	ck_assert_msg(conf != NULL, "%s", box.said);
	capture_begin();
	result = conf_chain_confirm(conf, cases[_i].said);
	if (cases[_i].complaint == NULL)
		ck_assert_str_eq(capture_text(), "");
	else
		ck_assert_ptr_nonnull(strstr(capture_text(), cases[_i].complaint));
	ck_assert_int_eq(result, cases[_i].complaint == NULL ? 0 : -1);
	capture_end();
	conf_free(&conf);
	confbox_close(&box);
	mem_free(text);
}
END_TEST

Suite *
conf_chain_suite(void)
{
	Suite *suite = suite_create("conf_chain");
	TCase *tcase = tcase_create("conf_chain");

	tcase_add_loop_test(tcase, what_helpers_cannot_answer_is_refused, 0, UNIT_COUNT(cases));
	suite_add_tcase(suite, tcase);
	return suite;
}

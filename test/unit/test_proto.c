#include "worker/proto/proto.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

static const struct server server = { .max_errors = 2, .max_commands = 3 };
static const struct facts facts = { .server = &server };

START_TEST(reset_credentials_are_empty)
{
	struct credentials c = { .method = METHOD_PLAIN, .user = mem_strdup("u"), .pass = mem_strdup("p"),
		.authz = mem_strdup("z"), .helo = mem_strdup("h"), .mail = mem_strdup("m"), .rcpt = mem_strdup("r") };

	credentials_reset(&c);
	ck_assert(c.method == 0 && c.user == NULL && c.pass == NULL && c.authz == NULL);
	ck_assert(c.helo == NULL && c.mail == NULL && c.rcpt == NULL);
	credentials_reset(&c);
}
END_TEST

START_TEST(the_error_after_max_errors_is_one_too_many)
{
	struct client client = { .facts = &facts };

	ck_assert(client_count_error(&client) && client_count_error(&client));
	ck_assert_str_eq(client.note, "");
	ck_assert(!client_count_error(&client));
	ck_assert_str_eq(client.note, "client sent too many invalid commands");
}
END_TEST

START_TEST(the_command_after_max_commands_is_one_too_many)
{
	struct client client = { .facts = &facts };

	for (unsigned i = 0; i < server.max_commands; i++)
		ck_assert(client_count_command(&client));
	ck_assert_str_eq(client.note, "");
	ck_assert(!client_count_command(&client));
	ck_assert_str_eq(client.note, "client sent too many commands");
}
END_TEST

START_TEST(a_note_is_cut_to_its_room)
{
	char note[PROTO_NOTE], text[PROTO_NOTE * 2];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	note_set(note, "%s", text);
	ck_assert_uint_eq(strlen(note), PROTO_NOTE - 1);
}
END_TEST

static const struct {
	const char *line, *pass, *note;
} lines[] = {
	{ "a NO no\r", "secret", "upstream sent invalid response: \"a NO no\\x0D\"" },
	{ "a BAD LOGIN \"u\" \"secret\"?", "secret",
	    "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "a BAD \"a \\\"b\\\\c\"", "a \"b\\c",
	    "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "a BAD a \"b\\c", "a \"b\\c", "upstream sent invalid response: \"not shown: it holds the password\"" },
	/* NUL, "joe", NUL, "secret", as AUTH PLAIN has it; and cut short behind the password */
	{ "535 no: PLAIN=AGpvZQBzZWNyZXQ=", "secret",
	    "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "535 <c2VjcmV0>", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "535 c2VjcmV0IQ", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "535 ==== c2Vjcm", "secret", "upstream sent invalid response: \"535 ==== c2Vjcm\"" },
	/* cut short within it, in front of it, or stuck to something else */
	{ "a NO secre", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "a NO sec", "secret", "upstream sent invalid response: \"a NO sec\"" },
	{ "a NO secre.", "secret", "upstream sent invalid response: \"a NO secre.\"" },
	{ "535 AGpvZQBzZWNy", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "535 pvZQBzZWNyZXQ=", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "535 x/AGpvZQBzZWNyZXQ=", "secret", "upstream sent invalid response: \"not shown: it holds the password\"" },
	{ "a NO no", "", "upstream sent invalid response: \"a NO no\"" },
	{ "a NO no", NULL, "upstream sent invalid response: \"a NO no\"" },
	{ "", "secret", "upstream sent invalid response: \"\"" },
};

START_TEST(a_backend_that_repeats_the_password_is_not_quoted)
{
	char pass[16];
	const struct credentials credentials = { .pass = NULL };
	struct login_task task = { .facts = &facts, .credentials = &credentials };
	struct login login = { .task = &task };

	if (lines[_i].pass != NULL)
		task.means.pass = strcpy(pass, lines[_i].pass);
	note_upstream(&login, "invalid response", lines[_i].line, strlen(lines[_i].line));
	ck_assert_str_eq(login.note, lines[_i].note);
}
END_TEST

Suite *
proto_suite(void)
{
	Suite *suite = suite_create("proto");
	TCase *tcase = tcase_create("proto");

	tcase_add_test(tcase, reset_credentials_are_empty);
	tcase_add_test(tcase, the_error_after_max_errors_is_one_too_many);
	tcase_add_test(tcase, the_command_after_max_commands_is_one_too_many);
	tcase_add_test(tcase, a_note_is_cut_to_its_room);
	tcase_add_loop_test(tcase, a_backend_that_repeats_the_password_is_not_quoted, 0, UNIT_COUNT(lines));
	suite_add_tcase(suite, tcase);
	return suite;
}

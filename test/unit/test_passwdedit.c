#include "worker/helper/passwdedit.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define KEYS_MAX 4

/* The text after an edit, or "! reason"; the caller's to free. */
static char *
edited(const struct passwdedit *edit, const char *text, size_t len)
{
	struct buf out;
	const char *why;
	char *result;

	buf_init(&out, SIZE_MAX / 8);
	why = passwdedit_apply(edit, text, len, &out);
	if (why != NULL) {
		ck_assert_uint_eq(out.len, 0);
		result = mem_printf("! %s", why);
	} else {
		result = mem_strndup(buf_head(&out), out.len);
	}
	buf_reset(&out);
	return result;
}

static const struct {
	enum passwdedit_verb verb;
	const char *user, *secret;
	struct passwdedit_key keys[KEYS_MAX];
	const char *before, *after;
} edits[] = {
	/* add */
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "", "joe:{X}y\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "# us\n\nann:*\n", "# us\n\nann:*\njoe:{X}y\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "ann:*", "ann:*\njoe:{X}y\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "ann:*\r\nbob:*", "ann:*\r\nbob:*\r\njoe:{X}y\r\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "host", "h" } }, "ann:*\n", "ann:*\njoe:{X}y::::::host=h\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "host", NULL } }, "", "joe:{X}y\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "a", "1%" }, { "nologin", "" }, { "a", "2%%" } }, "",
	    "joe:{X}y::::::nologin a=2%%%%\n" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "joe:*\n", "! the user is there already" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "joe", "! the user is there already" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { 0 } }, "#joe:*\njoey:*\nJoe:*\njo:e\n",
	    "#joe:*\njoey:*\nJoe:*\njo:e\njoe:{X}y\n" },
	{ PASSWDEDIT_ADD, "", "{X}y", { { 0 } }, "", "! no user name" },
	{ PASSWDEDIT_ADD, "#joe", "{X}y", { { 0 } }, "", "! a user name cannot begin with \"#\"" },
	{ PASSWDEDIT_ADD, "j:oe", "{X}y", { { 0 } }, "", "! a user name cannot hold colons or control characters" },
	{ PASSWDEDIT_ADD, "j\noe", "{X}y", { { 0 } }, "", "! a user name cannot hold colons or control characters" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "a", "b c" } }, "",
	    "! the value of a key cannot hold blanks or control characters" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "a", "b\nroot:*" } }, "",
	    "! the value of a key cannot hold blanks or control characters" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "a b", "c" } }, "", "! not the name of a key" },
	{ PASSWDEDIT_ADD, "joe", "{X}y", { { "", "c" } }, "", "! not the name of a key" },
	{ PASSWDEDIT_ADD, "joe", "{X}y:z", { { 0 } }, "",
	    "! a stored password cannot hold colons or control characters" },
	/* change */
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "ann:*\njoe:old:1:2:g:h:s:k=v\nbob:*\n",
	    "ann:*\njoe:new:1:2:g:h:s:k=v\nbob:*\n" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "joe", "joe:new" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "joe:\r\n#\r\n", "joe:new\r\n#\r\n" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "joe:!old:1\n", "joe:!new:1\n" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "joe:*:1\n", "joe:new:1\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", "w" } }, "joe:!old:1:2:g:h:s:k=v\n", "joe:!old:1:2:g:h:s:k=w\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", "w" } }, "joe:old:1\n", "joe:old:1:::::k=w\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", "w" } }, "joe\n", "joe:::::::k=w\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", "w" } }, "joe:o::::::a=1  k b=2 k=9\n",
	    "joe:o::::::a=1  k=w b=2\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", NULL } }, "joe:o::::::a=1  k b=2 k=9\n",
	    "joe:o::::::a=1  b=2\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", NULL } }, "joe:o::::::k=1\n", "joe:o::::::\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", NULL } }, "joe:o:1\n", "joe:o:1\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", NULL }, { "l", "2" } }, "joe:o::::::kk=1 k=1 \n",
	    "joe:o::::::kk=1 l=2\n" },
	{ PASSWDEDIT_CHANGE, "joe", NULL, { { "k", "w" } }, "joe:o:::::::old\n",
	    "! the user's line is of an old form that has no place for keys" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "joe:o:::::::old\n", "joe:new:::::::old\n" },
	{ PASSWDEDIT_CHANGE, "joe", "new", { { 0 } }, "ann:*\n", "! unknown user" },
	/* delete */
	{ PASSWDEDIT_DELETE, "joe", NULL, { { 0 } }, "ann:*\r\njoe:*\r\n\n#\n", "ann:*\r\n\n#\n" },
	{ PASSWDEDIT_DELETE, "joe", NULL, { { 0 } }, "ann:*\njoe:*", "ann:*\n" },
	{ PASSWDEDIT_DELETE, "joe", NULL, { { 0 } }, "joe:*\n", "" },
	{ PASSWDEDIT_DELETE, "joe", NULL, { { 0 } }, "", "! unknown user" },
	/* lock */
	{ PASSWDEDIT_LOCK, "joe", NULL, { { 0 } }, "joe:{X}y:1\n", "joe:!{X}y:1\n" },
	{ PASSWDEDIT_LOCK, "joe", NULL, { { 0 } }, "joe:!{X}y:1\n", "joe:!{X}y:1\n" },
	{ PASSWDEDIT_LOCK, "joe", NULL, { { 0 } }, "joe", "joe:!" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe:!{X}y:1\n", "joe:{X}y:1\n" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe:!!{X}y\n", "joe:{X}y\n" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe:{X}y\n", "joe:{X}y\n" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe:!:1\n", "! the user has no password to unlock" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe:!*\n", "! the user has no password to unlock" },
	{ PASSWDEDIT_UNLOCK, "joe", NULL, { { 0 } }, "joe\n", "! the user has no password to unlock" },
};

static struct passwdedit
edit_of(int i)
{
	struct passwdedit edit = {
		.verb = edits[i].verb, .user = edits[i].user, .secret = edits[i].secret, .keys = edits[i].keys,
	};

	while (edit.key_count < KEYS_MAX && edits[i].keys[edit.key_count].name != NULL)
		edit.key_count++;
	return edit;
}

START_TEST(what_is_asked_for_changes_and_no_other_byte)
{
	struct passwdedit edit = edit_of(_i);
	char *after = edited(&edit, edits[_i].before, strlen(edits[_i].before));

	ck_assert_str_eq(after, edits[_i].after);
	mem_free(after);
}
END_TEST

START_TEST(a_text_cut_anywhere_is_edited_within_its_bounds)
{
	struct passwdedit edit = edit_of(_i);

	for (size_t len = 0; len < strlen(edits[_i].before); len++) {
		char *text = mem_dup(edits[_i].before, len);    /* so that a step too far is noticed */

		mem_free(edited(&edit, text, len));
		mem_free(text);
	}
}
END_TEST

START_TEST(whoever_was_added_and_deleted_leaves_no_trace)
{
	const char before[] = "# us\r\n\nann:*:1\nbob";
	struct passwdedit edit = { .verb = PASSWDEDIT_ADD, .user = "joe", .secret = "*" };
	char *with = edited(&edit, before, strlen(before)), *without;
	const char *line;
	size_t len;

	ck_assert(passwdedit_find(with, strlen(with), "joe", &line, &len));
	ck_assert_uint_eq(len, 5);
	ck_assert_mem_eq(line, "joe:*", 5);
	edit.verb = PASSWDEDIT_DELETE;
	without = edited(&edit, with, strlen(with));
	ck_assert_str_eq(without, "# us\r\n\nann:*:1\nbob\r\n");
	ck_assert(!passwdedit_find(without, strlen(without), "joe", &line, &len));
	mem_free(with);
	mem_free(without);
}
END_TEST

Suite *
passwdedit_suite(void)
{
	Suite *suite = suite_create("passwdedit");
	TCase *tcase = tcase_create("passwdedit");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, what_is_asked_for_changes_and_no_other_byte, 0, UNIT_COUNT(edits));
	tcase_add_loop_test(tcase, a_text_cut_anywhere_is_edited_within_its_bounds, 0, UNIT_COUNT(edits));
	tcase_add_test(tcase, whoever_was_added_and_deleted_leaves_no_trace);
	return suite;
}

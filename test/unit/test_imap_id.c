#include "worker/proto/imap_id.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"
#include "worker/proto/imap.h"

#define T5 "id ID (\"x-session-id\" \"5f3a9c02\" \"x-proxy-ttl\" \"5\"" WHERE
#define T0 "id ID (\"x-session-id\" \"5f3a9c02\" \"x-proxy-ttl\" \"0\"" WHERE
#define T3 "id ID (\"x-session-id\" \"5f3a9c02\" \"x-proxy-ttl\" \"3\"" WHERE
#define WHERE " \"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"4711\"" \
	" \"x-connected-ip\" \"2001:db8::1\" \"x-connected-port\" \"143\""

/* What a client says of itself, and what its backend hears. */
static const struct {
	const char *said, *heard;
} ids[] = {
	{ "", T5 ")\r\n" },
	{ "a ID NIL\r\n", T5 ")\r\n" },
	{ "a ID ()\r\n", T5 ")\r\n" },
	{ "a ID (\"name\" \"Mutt\" \"version\" NIL)\r\n", T5 " \"name\" \"Mutt\" \"version\" NIL)\r\n" },
	{ "a ID (name {4+}\r\na\"\\b)\r\n", T5 " \"name\" \"a\\\"\\\\b\")\r\n" },
	{ "a ID (\"n\" \"NIL\")\r\n", T5 " \"n\" \"NIL\")\r\n" },
	{ "a ID (\"a\" \"1\")\r\nb ID (\"b\" \"2\")\r\n", T5 " \"b\" \"2\")\r\n" },
	{ "a ID (\"a\" \"1\")\r\nb ID NIL\r\n", T5 ")\r\n" },
	/* what only servers tell each other */
	{ "a ID (\"x-originating-ip\" \"10.0.0.1\" \"X-Session-Id\" \"1\" \"x-forward-a\" \"b\" \"os\" \"x\")\r\n",
	    T5 " \"os\" \"x\")\r\n" },
	{ "a ID (\"x-proxy-ttl\" \"4\")\r\n", T3 ")\r\n" },
	{ "a ID (\"X-PROXY-TTL\" \"4\" \"x-proxy-ttl\" \"1\")\r\n", T0 ")\r\n" },
	{ "a ID (\"x-proxy-ttl\" \"0\")\r\n", T0 ")\r\n" },
	{ "a ID (\"x-proxy-ttl\" \"-1\")\r\n", T5 ")\r\n" },
	{ "a ID (\"x-proxy-ttl\" NIL)\r\n", T5 ")\r\n" },
	/* what a quoted string cannot hold */
	{ "a ID (\"n\" {3+}\r\na\r\n \"os\" \"x\")\r\n", T5 " \"os\" \"x\")\r\n" },
	{ "a ID (\"n\" \"caf\xc3\xa9\" \"os\" \"x\")\r\n", T5 " \"os\" \"x\")\r\n" },
	{ "a ID (\"0123456789012345678901234567890\" \"1\" \"os\" \"x\")\r\n", T5 " \"os\" \"x\")\r\n" },
	/* no ID at all */
	{ "a ID (\"name\" \"x\" \"odd\")\r\n", T5 ")\r\n" },
};

static void
feed(struct client *client, const char *said, size_t len)
{
	struct buf in, out;

	buf_init(&in, 4096);
	buf_init(&out, 2 * PROTO_ROOM);
	for (size_t at = 0; at < len; at++) {   /* byte by byte: a command is read again whenever more has come */
		buf_add(&in, said + at, 1);
		while (proto_imap.input(client, &in, &out) == PROTO_AGAIN)
			continue;
	}
	buf_reset(&in);
	buf_reset(&out);
}

START_TEST(a_backend_hears_what_the_client_said_and_whence_it_comes)
{
	struct addr connected;
	struct scene scene;
	struct client *client;
	struct buf out;

	scene_init(&scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	scene.client.port = 4711;
	ck_assert_int_eq(addr_parse(&connected, "2001:db8::1", 11), 0);
	connected.port = 143;
	scene.facts.connected = &connected;
	strcpy(scene.facts.session, "5f3a9c02");
	client = proto_imap.client_new(&scene.facts);
	feed(client, ids[_i].said, strlen(ids[_i].said));
	buf_init(&out, 4096);
	ck_assert_int_eq(imap_id_compose(&out, "id", &scene.facts, imap_id(client)), 0);
	ck_assert_uint_eq(out.len, strlen(ids[_i].heard));
	ck_assert_mem_eq(buf_head(&out), ids[_i].heard, out.len);
	buf_reset(&out);
	proto_imap.client_free(&client);
}
END_TEST

START_TEST(a_unix_client_has_no_address)
{
	struct imap_id id = { .texts = NULL };
	struct scene scene;
	struct buf out;

	scene_init(&scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	scene.client = (struct addr){ .family = AF_UNIX };
	buf_init(&out, 4096);
	ck_assert_int_eq(imap_id_compose(&out, "id", &scene.facts, &id), 0);
	ck_assert_mem_eq(buf_head(&out), "id ID (\"x-session-id\" \"\" \"x-proxy-ttl\" \"5\")\r\n", out.len);
	buf_reset(&out);
}
END_TEST

START_TEST(no_more_fields_than_the_rfc_allows_are_kept)
{
	struct imap_text field = { .at = "f", .len = 1, .quoted = true };
	struct imap_text value = { .at = "v", .len = 1, .quoted = true };
	struct imap_id id = { .texts = NULL };

	for (int i = 0; i < 100; i++)
		imap_id_add(&id, &field, &value);
	ck_assert_uint_eq(id.count, IMAP_ID_FIELDS);
	imap_id_reset(&id);
}
END_TEST

static const struct {
	const char *answers, *sent;
} logins[] = {
	{ "* OK b\r\n* ID (\"name\" \"Dovecot\")\r\nid OK\r\n* CAPABILITY X\r\na OK in\r\nleft",
	    "{done * CAPABILITY X\r\na OK in\r\n}left" },
	{ "* OK b\r\n* ID NIL\r\nid BAD no such command\r\na OK in\r\n", "{done a OK in\r\n}" },
	{ "* OK b\r\nid OK\r\na NO [AUTHENTICATIONFAILED] x\r\n", "{refused a NO [AUTHENTICATIONFAILED] x\r\n}" },
	{ "* OK b\r\n* BYE full\r\n", "{unavailable upstream sent invalid response: \"* BYE full\"}" },
	{ "* OK b\r\n* ID ({3}\r\n", "{more}" },
};

/* All goes in one write; what the backend says of itself is not for the client. */
START_TEST(the_answer_to_our_id_stays_with_us)
{
	static const char asked[] = "id ID (\"x-session-id\" \"\" \"x-proxy-ttl\" \"5\" \"x-originating-ip\" \"192.0.2.1\" "
	    "\"x-originating-port\" \"0\")\r\na LOGIN \"u\" \"p\"\r\n";
	size_t len = strlen(logins[_i].answers);
	struct scene scene;
	struct client *client;
	struct login_task task;

	scene_init(&scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	scene.server.proxy_imap_id = true;
	client = proto_imap.client_new(&scene.facts);
	feed(client, "a LOGIN u p\r\n", 13);
	task = dialogue_task(&scene, client, &client->credentials);
	for (size_t cut = 0; cut <= len; cut++) {
		char *sent = dialogue_login(&task, &proto_imap, logins[_i].answers, len, cut);

		ck_assert_mem_eq(sent, asked, sizeof(asked) - 1);
		ck_assert_str_eq(sent + sizeof(asked) - 1, logins[_i].sent);
		mem_free(sent);
	}
	proto_imap.client_free(&client);
}
END_TEST

START_TEST(a_connection_in_a_circle_ends)
{
	struct scene scene;
	struct client *client;
	struct login_task task;
	char *sent;

	scene_init(&scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	scene.server.proxy_imap_id = true;
	client = proto_imap.client_new(&scene.facts);
	feed(client, "i ID (\"x-proxy-ttl\" \"1\")\r\na LOGIN u p\r\n", 40);
	task = dialogue_task(&scene, client, &client->credentials);
	sent = dialogue_login(&task, &proto_imap, "* OK b\r\n", 8, 0);
	ck_assert_str_eq(sent, "{unavailable proxying goes in a circle: the client's x-proxy-ttl has run out}");
	mem_free(sent);
	proto_imap.client_free(&client);
}
END_TEST

Suite *
imap_id_suite(void)
{
	Suite *suite = suite_create("imap_id");
	TCase *tcase = tcase_create("imap_id");

	tcase_add_loop_test(tcase, a_backend_hears_what_the_client_said_and_whence_it_comes, 0, UNIT_COUNT(ids));
	tcase_add_test(tcase, a_unix_client_has_no_address);
	tcase_add_test(tcase, no_more_fields_than_the_rfc_allows_are_kept);
	tcase_add_loop_test(tcase, the_answer_to_our_id_stays_with_us, 0, UNIT_COUNT(logins));
	tcase_add_test(tcase, a_connection_in_a_circle_ends);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "test/unit/smtp_scene.h"

#include "common/must.h"
#include "worker/proto/smtp.h"

struct client *
smtp_scene_client(const struct scene *scene, const char *said)
{
	struct client *client = proto_smtp.client_new(&scene->facts);
	struct buf in, out;

	buf_init(&in, 4096);
	buf_init(&out, 4096);
	MUST(buf_add_text(&in, said) == 0);
	while (proto_smtp.input(client, &in, &out) == PROTO_AGAIN)
		;
	buf_reset(&in);
	buf_reset(&out);
	return client;
}

struct smtp_gate *
smtp_scene_gate(struct scene *scene, bool chunking, const char *rcpt_answer)
{
	struct client *client = smtp_scene_client(scene, "EHLO c\r\nMAIL FROM:<a>\r\nRCPT TO:<first>\r\n");
	struct login_task task = dialogue_task(scene, client, &client->credentials);
	struct login *login = proto_smtp.login_new(&task);
	struct smtp_gate *gate;
	struct buf in, out;

	buf_init(&in, 4096);
	buf_init(&out, 4096);
	MUST(buf_printf(&in, "220 b\r\n250-b\r\n%s250 X\r\n250 m\r\n%s\r\n", chunking ? "250-chunking\r\n" : "",
	    rcpt_answer) == 0);
	MUST(proto_smtp.login_input(login, &in, &out) == LOGIN_DONE);
	gate = smtp_gate_new(&scene->facts, client, login);
	proto_smtp.login_free(&login);
	proto_smtp.client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
	return gate;
}

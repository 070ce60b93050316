#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/dialogue.h"

#define HOWS 7

/* A client that asks to be let in: under the tag "a" in IMAP. */
static struct client *
asking_client(const struct scene *scene)
{
	static const char *const said[] = { "a LOGIN u p\r\n", "USER u\r\nPASS p\r\n", "AUTH PLAIN AGEAYg==\r\n" };
	const struct proto *proto = proto_get(scene->server.protocol);
	struct client *client = proto->client_new(&scene->facts);
	struct buf in, out;

	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said[scene->server.protocol]);
	while (proto->input(client, &in, &out) != PROTO_CREDENTIALS)
		MUST(in.len > 0);
	buf_reset(&in);
	buf_reset(&out);
	return client;
}

/* What is shown by each mechanism, or by the command of the protocol. */
static struct login_means
means_for(unsigned how)
{
	struct login_means means = {
		.how = (enum proxy_auth)how, .user = "joe", .pass = "tok", .method = METHOD_PLAIN
	};

	means.is_token = how == PROXY_AUTH_XOAUTH2 || how == PROXY_AUTH_OAUTHBEARER;
	if (how == PROXY_AUTH_EXTERNAL || how == PROXY_AUTH_NONE)
		means.pass = NULL;
	if (how == PROXY_AUTH_PLAIN)
		means.authz = "jane";
	return means;
}

/* Whatever a backend answers, the login ends the same wherever its answers are cut. */
static void
try_login(enum protocol protocol, unsigned how, const char *answers, size_t len)
{
	struct scene scene;
	struct client *client;
	struct login_task task;
	char *whole;

	scene_init(&scene, protocol, METHOD_PLAIN, NULL);
	scene.server.proxy_buffer = 256;
	client = asking_client(&scene);
	task = dialogue_task(&scene, client, &client->credentials);
	task.means = means_for(how);
	whole = dialogue_login(&task, client->proto, answers, len, len);
	for (size_t cut = 0; cut < len; cut += 1 + len / 8) {
		char *outcome = dialogue_login(&task, client->proto, answers, len, cut);

		MUST(strcmp(outcome, whole) == 0);
		mem_free(outcome);
	}
	mem_free(whole);
	client->proto->client_free(&client);
}

/* The first byte chooses protocol and mechanism. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		try_login((enum protocol)(data[0] % PROTOCOL_COUNT), data[0] / PROTOCOL_COUNT % HOWS,
		    (const char *)data + 1, size - 1);
	return 0;
}

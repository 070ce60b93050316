#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/dialogue.h"
#include "worker/proto/imap.h"

/* A client that has said LOGIN under the tag "a". */
static struct client *
waiting_client(const struct facts *facts)
{
	struct client *client = proto_imap.client_new(facts);
	struct buf in, out;

	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, "a LOGIN u p\r\n");
	MUST(proto_imap.input(client, &in, &out) == PROTO_CREDENTIALS);
	buf_reset(&in);
	buf_reset(&out);
	return client;
}

/* Whatever a backend answers, the login ends the same wherever its answers are cut. */
static void
try_login(struct scene *scene, const char *user, const char *pass, bool starttls, const char *answers, size_t len)
{
	struct client *client = waiting_client(&scene->facts);
	struct credentials credentials = { .method = METHOD_PLAIN, .user = mem_strdup(user), .pass = mem_strdup(pass) };
	struct login_task task = dialogue_task(scene, client, &credentials);
	char *whole;

	task.starttls = starttls;
	whole = dialogue_login(&task, &proto_imap, answers, len, len);

	for (size_t cut = 0; cut < len; cut += 1 + len / 8) {
		char *outcome = dialogue_login(&task, &proto_imap, answers, len, cut);

		MUST(strcmp(outcome, whole) == 0);
		mem_free(outcome);
	}
	mem_free(whole);
	credentials_reset(&credentials);
	proto_imap.client_free(&client);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene scene;

	scene_init(&scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	scene.server.proxy_buffer = 256;
	try_login(&scene, "alice", "secret", false, (const char *)data, size);
	try_login(&scene, "caf\xc3\xa9", "\xff{}", false, (const char *)data, size);
	try_login(&scene, "caf\xc3\xa9", "\xff{}", true, (const char *)data, size);
	return 0;
}

#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/smtp_scene.h"
#include "worker/proto/smtp.h"

#define EVERY_METHOD (METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHOD_NONE | METHODS_TOKEN)

static const char *capabilities[] = { "SIZE 10485760", "8BITMIME", NULL };

/*
 * Whatever a client says, it is the same dialogue wherever it is cut; every login in it is refused.
 * After STARTTLS it says all of it again.
 */
static void
try_client(const char *said, size_t size)
{
	static const struct refusal wrong = { .kind = REFUSAL_WRONG };
	struct scene scene;
	char *whole, *inside = mem_strndup(said, strnlen(said, size));

	scene_init(&scene, PROTOCOL_SMTP, EVERY_METHOD, capabilities);
	scene.server.protocols[PROTOCOL_SMTP].client_buffer = 128;
	scene.server.starttls = (enum starttls)(size % 3);
	scene.tls.verify = "SUCCESS";
	scene.inside = inside;
	whole = dialogue_client(&proto_smtp, &scene, said, size, size, &wrong, NULL);
	for (size_t cut = 0; cut < size; cut += 1 + size / 8) {
		char *heard = dialogue_client(&proto_smtp, &scene, said, size, cut, &wrong, NULL);

		MUST(strcmp(heard, whole) == 0);
		mem_free(heard);
	}
	mem_free(inside);
	mem_free(whole);
}

/* Whatever a backend answers, the login ends the same wherever its answers are cut. */
static void
try_login(const char *answers, size_t size, bool anonymous, bool starttls)
{
	static char user[] = "joe", pass[] = "a b", mail[] = "MAIL FROM:<a>", rcpt[] = "RCPT TO:<b>";
	const struct credentials known = { .method = METHOD_PLAIN, .user = user, .pass = pass };
	const struct credentials unknown = { .method = METHOD_NONE, .mail = mail, .rcpt = rcpt };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, anonymous ? &unknown : &known);
	struct client *client;
	char *whole;

	scene_init(&scene, PROTOCOL_SMTP, EVERY_METHOD, capabilities);
	scene.server.xclient = scene.server.proxy_smtp_auth = true;
	scene.server.proxy_buffer = 128;
	task.client = client = smtp_scene_client(&scene, "EHLO c\r\n");
	task.starttls = starttls;
	whole = dialogue_login(&task, &proto_smtp, answers, size, size);
	for (size_t cut = 0; cut < size; cut += 1 + size / 8) {
		char *outcome = dialogue_login(&task, &proto_smtp, answers, size, cut);

		MUST(strcmp(outcome, whole) == 0);
		mem_free(outcome);
	}
	mem_free(whole);
	proto_smtp.client_free(&client);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_client((const char *)data, size);
	try_login((const char *)data, size, true, false);
	try_login((const char *)data, size, false, false);
	try_login((const char *)data, size, false, true);
	return 0;
}

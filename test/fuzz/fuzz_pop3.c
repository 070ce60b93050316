#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/dialogue.h"
#include "worker/proto/pop3.h"

#define EVERY_METHOD (METHOD_PLAIN | METHOD_APOP | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN)

static const char *capabilities[] = { "TOP", "USER", NULL };

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

	scene_init(&scene, PROTOCOL_POP3, EVERY_METHOD, capabilities);
	scene.server.protocols[PROTOCOL_POP3].client_buffer = 128;
	scene.server.starttls = (enum starttls)(size % 3);
	scene.tls.verify = "SUCCESS";
	scene.inside = inside;
	whole = dialogue_client(&proto_pop3, &scene, said, size, size, &wrong, NULL);
	for (size_t cut = 0; cut < size; cut += 1 + size / 8) {
		char *heard = dialogue_client(&proto_pop3, &scene, said, size, cut, &wrong, NULL);

		MUST(strcmp(heard, whole) == 0);
		mem_free(heard);
	}
	mem_free(inside);
	mem_free(whole);
}

/* Whatever a backend answers, the login ends the same wherever its answers are cut. */
static void
try_login(const char *answers, size_t size, bool starttls)
{
	struct credentials credentials = { METHOD_PLAIN, .user = mem_strdup("joe"), .pass = mem_strdup("a b") };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	char *whole;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	scene.server.proxy_buffer = 128;
	task.starttls = starttls;
	whole = dialogue_login(&task, &proto_pop3, answers, size, size);
	for (size_t cut = 0; cut < size; cut += 1 + size / 8) {
		char *outcome = dialogue_login(&task, &proto_pop3, answers, size, cut);

		MUST(strcmp(outcome, whole) == 0);
		mem_free(outcome);
	}
	mem_free(whole);
	credentials_reset(&credentials);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_client((const char *)data, size);
	try_login((const char *)data, size, false);
	try_login((const char *)data, size, true);
	return 0;
}

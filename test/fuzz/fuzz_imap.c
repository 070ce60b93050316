#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/dialogue.h"
#include "worker/proto/imap.h"

#define EVERY_METHOD (METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN)

/*
 * Whatever a client says, it is the same dialogue wherever it is cut; every login in it is refused.
 * After STARTTLS it says all of it again.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *capabilities[] = { "IMAP4rev1", "LITERAL+", NULL };
	static const struct refusal wrong = { .kind = REFUSAL_WRONG };
	const char *said = (const char *)data;
	struct scene scene;
	char *whole, *inside = mem_strndup(said, strnlen(said, size));

	scene_init(&scene, PROTOCOL_IMAP, EVERY_METHOD, capabilities);
	scene.server.protocols[PROTOCOL_IMAP].client_buffer = 128;
	scene.server.starttls = (enum starttls)(size % 3);
	scene.tls.verify = "SUCCESS";
	scene.inside = inside;
	whole = dialogue_client(&proto_imap, &scene, said, size, size, &wrong, NULL);
	for (size_t cut = 0; cut < size; cut += 1 + size / 8) {
		char *heard = dialogue_client(&proto_imap, &scene, said, size, cut, &wrong, NULL);

		MUST(strcmp(heard, whole) == 0);
		mem_free(heard);
	}
	mem_free(inside);
	mem_free(whole);
	return 0;
}

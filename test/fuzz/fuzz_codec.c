#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/codec.h"

static char again[1 << 16];

static void
try_request(const uint8_t *data, size_t size)
{
	struct helper_request request;

	if (helper_request_decode(&request, data, size) == -1)
		return;
	MUST(helper_request_encode(again, sizeof(again), &request) == (ssize_t)size);
	MUST(memcmp(again, data, size) == 0);
}

static void
try_reply(const uint8_t *data, size_t size)
{
	struct helper_reply reply;

	if (helper_reply_decode(&reply, data, size) == -1) {
		MUST(reply.user == NULL && reply.pass == NULL && reply.outcome == HELPER_UNAVAILABLE);
		return;
	}
	MUST(helper_reply_encode(again, sizeof(again), &reply) == (ssize_t)size);
	MUST(memcmp(again, data, size) == 0);
	helper_reply_reset(&reply);
}

/* What can be decoded is what an encoder writes, and nothing else. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > sizeof(again))
		return 0;
	try_request(data, size);
	try_reply(data, size);
	return 0;
}

#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/auth/auth_pack.h"
#include "worker/auth/auth_source.h"

#define HEAD 16         /* bytes that are always there */

/* Whatever is taken for an answer is packed to one that is the same again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth_answer answer, again;
	char *packed, *repacked;

	if (size < HEAD || !auth_unpack(&answer, data, size))
		return 0;
	MUST(answer.outcome <= AUTH_UNKNOWN && answer.port <= UINT16_MAX);
	packed = mem_alloc(size);
	repacked = mem_alloc(size);
	MUST(auth_pack(packed, size, &answer));
	MUST(auth_unpack(&again, packed, size));
	MUST(auth_pack(repacked, size, &again));
	MUST(memcmp(packed, repacked, size) == 0);
	auth_answer_reset(&answer);
	auth_answer_reset(&again);
	mem_free(packed);
	mem_free(repacked);
	return 0;
}

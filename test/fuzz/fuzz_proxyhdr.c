#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/proto/proxyhdr.h"

/* However much of a header has come: once it is judged more bytes change nothing, and until then it may go on. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum proxyhdr_verdict verdict = PROXYHDR_MORE;
	struct proxyhdr first, h;
	const char *why;

	memset(&first, 0, sizeof(first));
	for (size_t len = 0; len <= size; len++) {
		enum proxyhdr_verdict now = proxyhdr_read(&h, data, len, &why);

		MUST(verdict == PROXYHDR_MORE || now == verdict);
		MUST(now != PROXYHDR_DONE || (h.len <= len && h.len <= PROXYHDR_MAX));
		MUST(verdict != PROXYHDR_DONE || (h.len == first.len && h.tells == first.tells));
		if (verdict == PROXYHDR_MORE)
			first = h;
		verdict = now;
	}
	return 0;
}

#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"

/* What decodes is canonical: encoding it again gives the same text. */
static void
try_decode(const char *text, size_t len)
{
	char *bytes = mem_alloc(BASE64_DECODED(len)), *in_place = mem_dup(text, len);
	ssize_t count = base64_decode(bytes, text, len);
	char *back;

	MUST(base64_decode(in_place, in_place, len) == count);
	if (count != -1) {
		MUST((size_t)count <= BASE64_DECODED(len) && memcmp(bytes, in_place, (size_t)count) == 0);
		back = mem_alloc(BASE64_ENCODED((size_t)count));
		MUST(base64_encode(back, bytes, (size_t)count) == len && memcmp(back, text, len) == 0);
		mem_free(back);
	}
	mem_free(bytes);
	mem_free(in_place);
}

/* What decodes as base64url is the same base64 with other letters and its padding left away. */
static void
try_url_decode(const char *text, size_t len)
{
	char *bytes = mem_alloc(BASE64URL_DECODED(len)), *back;
	ssize_t count = base64url_decode(bytes, text, len);

	if (count != -1) {
		MUST((size_t)count == BASE64URL_DECODED(len));
		back = mem_alloc(BASE64_ENCODED((size_t)count));
		MUST(base64_encode(back, bytes, (size_t)count) >= len);
		for (size_t i = 0; i < len; i++)
			MUST(back[i] == (text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]));
		mem_free(back);
	}
	mem_free(bytes);
}

/* Any bytes encode, and come back. */
static void
try_encode(const void *bytes, size_t len)
{
	char *text = mem_alloc(BASE64_ENCODED(len)), *back;
	size_t text_len = base64_encode(text, bytes, len);

	MUST(text_len == BASE64_ENCODED(len));
	back = mem_alloc(BASE64_DECODED(text_len));
	MUST(base64_decode(back, text, text_len) == (ssize_t)len && memcmp(back, bytes, len) == 0);
	mem_free(text);
	mem_free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;       /* libFuzzer's first input is NULL */
	try_decode((const char *)data, size);
	try_url_decode((const char *)data, size);
	try_encode(data, size);
	return 0;
}

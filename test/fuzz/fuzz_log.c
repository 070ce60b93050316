#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"

/* A stranger's text fits, is one line, and ends no quotation. */
static void
try_text(const char *bytes, size_t len, size_t size)
{
	char *out = mem_alloc(size);

	log_text(out, size, bytes, len);
	MUST(memchr(out, '\0', size) != NULL);
	for (const char *at = out; *at != '\0'; at++)
		MUST((unsigned char)*at >= 0x20 && *at != 0x7f && *at != '"');
	mem_free(out);
}

/* What comes out is safe: it goes in again and only its backslashes change. */
static void
try_twice(const char *bytes, size_t len)
{
	size_t size = 4 * len + 1, twice_size = 4 * size;
	char *once = mem_alloc(size), *twice = mem_alloc(twice_size);
	const char *from, *to;

	log_text(once, size, bytes, len);
	log_text(twice, twice_size, once, strlen(once));
	for (from = once, to = twice; *from != '\0'; from++, to++) {
		if (*from == '\\') {
			MUST(strncmp(to, "\\x5C", 4) == 0);
			to += 3;
		} else {
			MUST(*from == *to);
		}
	}
	MUST(*to == '\0');
	mem_free(once);
	mem_free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	for (size_t room = 1; room < 24; room++)
		try_text(bytes, size, room);
	try_twice(bytes, size);
	return 0;
}

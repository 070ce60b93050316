#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/passwdfile.h"

/* The name that stands before the first colon, if it can be asked for. */
static char *
first_name(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, ':', size);
	size_t len = end != NULL ? (size_t)(end - data) : 0;

	if (len == 0 || data[0] == '#' || memchr(data, '\n', len) != NULL)
		return NULL;
	return mem_strndup((const char *)data, len);
}

/* A challenge, because it never costs a slow hash; nobody can answer this one. */
static void
ask(const struct passwdfile *table, const char *name)
{
	const struct helper_request request = {
		.method = METHOD_CRAM_MD5, .protocol = PROTOCOL_IMAP, .client = { .family = AF_INET },
		.user = name, .secret = "00000000000000000000000000000000", .salt = "<1@mx>",
	};
	struct helper_reply reply;

	passwdfile_answer(table, &request, &reply);
	MUST(reply.outcome == HELPER_REFUSED || (reply.outcome == HELPER_UNKNOWN && name[0] == '?'));
	MUST(reply.reason != NULL && reply.text == NULL);
	helper_reply_reset(&reply);
}

/* A file is a table in which its first user is found, or it is refused with a line that it has. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = first_name(data, size);
	struct passwdfile *table;
	size_t lines = 1;
	unsigned line;
	const char *why = passwdfile_new(&table, (const char *)data, size, &line);

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	MUST((why == NULL) == (table != NULL));
	MUST(why == NULL || (line >= 1 && line <= lines));
	if (table != NULL) {
		MUST(passwdfile_count(table) <= lines);
		ask(table, "?");
		if (name != NULL)
			ask(table, name);
	}
	passwdfile_free(&table);
	mem_free(name);
	return 0;
}

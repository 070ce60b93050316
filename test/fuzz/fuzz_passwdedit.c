#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/passwdedit.h"

static const struct passwdedit_key keys[] = { { "host", "192.0.2.1" }, { "port", NULL } };

/* Applies; true if it was done. What went before the user's line, and what comes behind it, is as it was. */
static bool
apply(const struct passwdedit *edit, const char *text, size_t len, struct buf *out)
{
	const char *line = text + len, *why;
	size_t line_len = 0, before;

	buf_init(out, SIZE_MAX / 8);
	passwdedit_find(text, len, edit->user, &line, &line_len);
	before = (size_t)(line - text);
	if ((why = passwdedit_apply(edit, text, len, out)) != NULL) {
		MUST(out->len == 0);
		return false;
	}
	MUST(out->len >= before && memcmp(buf_head(out), text, before) == 0);
	return true;
}

/* Whoever is added is found, can be changed twice to the same, and leaves the text that was there. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct passwdedit edit = { .verb = PASSWDEDIT_ADD, .user = "joe", .secret = "*", .keys = keys, .key_count = 2 };
	struct buf first, second, third;

	if (!apply(&edit, (const char *)data, size, &first)) {  /* there is a joe */
		edit.verb = PASSWDEDIT_CHANGE;
		if (!apply(&edit, (const char *)data, size, &first))
			return 0;
	}
	edit.verb = PASSWDEDIT_CHANGE;
	MUST(apply(&edit, buf_head(&first), first.len, &second));
	MUST(second.len == first.len && memcmp(buf_head(&first), buf_head(&second), first.len) == 0);
	edit.verb = PASSWDEDIT_DELETE;
	MUST(apply(&edit, buf_head(&first), first.len, &third));
	MUST(third.len < first.len);
	buf_reset(&first);
	buf_reset(&second);
	buf_reset(&third);
	return 0;
}

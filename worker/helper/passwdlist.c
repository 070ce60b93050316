#include "worker/helper/passwdlist.h"

#include <stdbool.h>
#include <string.h>

#include "common/must.h"
#include "worker/helper/passwdline.h"
#include "worker/helper/secret.h"

#define COLONS 7        /* before the keys */

static void
put(struct buf *out, const char *bytes, size_t len)
{
	MUST(buf_add(out, bytes, len) == 0);
}

static void
put_text(struct buf *out, const char *text)
{
	put(out, text, strlen(text));
}

static const char *
behind_colons(const char *line, const char *end, size_t count)
{
	for (; count > 0 && line != NULL; count--)
		if ((line = memchr(line, ':', (size_t)(end - line))) != NULL)
			line++;
	return line;
}

/* Of a secret that is locked, the scheme of what stands behind the lock. */
static void
put_secret(struct buf *out, const char *line, const char *end)
{
	const char *at = behind_colons(line, end, 1), *stop;
	struct secret secret = { .scheme = NULL };
	bool locked = true;

	if (at != NULL) {
		stop = memchr(at, ':', (size_t)(end - at));
		stop = stop != NULL ? stop : end;
		locked = at == stop || *at == '!';
		while (at < stop && *at == '!')
			at++;
		if (secret_parse(&secret, at, (size_t)(stop - at)) != NULL || secret.scheme == NULL)
			locked = true;
	}
	put_text(out, secret.scheme != NULL ? secret_scheme_name(&secret) : "-");
	put_text(out, locked ? "\tlocked\t" : "\tactive\t");
}

static void
put_keys(struct buf *out, const char *line, const char *end)
{
	const char *at = behind_colons(line, end, COLONS), *blank;

	for (const char *before = ""; at != NULL && at < end; at = blank + 1) {
		blank = memchr(at, ' ', (size_t)(end - at));
		blank = blank != NULL ? blank : end;
		if (at == blank)
			continue;
		put_text(out, before);
		before = " ";
		if (blank - at > 5 && memcmp(at, "pass=", 5) == 0)
			put_text(out, "pass=...");
		else
			put(out, at, (size_t)(blank - at));
	}
}

void
passwdlist(struct buf *out, const char *text, size_t len)
{
	const char *end = text + len, *stop;
	struct passwdline line;

	for (; text < end; text = stop + 1) {
		const char *last;

		stop = memchr(text, '\n', (size_t)(end - text));
		stop = stop != NULL ? stop : end;
		last = stop > text && stop[-1] == '\r' ? stop - 1 : stop;
		if (text == last || *text == '#' || passwdline_parse(&line, text, (size_t)(last - text)) != NULL)
			continue;
		put(out, line.user.text, line.user.len);
		put_text(out, "\t");
		put_secret(out, text, last);
		put_keys(out, text, last);
		put_text(out, "\n");
	}
}

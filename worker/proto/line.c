#include "worker/proto/line.h"

#include <string.h>
#include <strings.h>

enum line_state
line_find(const char *bytes, size_t len, size_t max_len, struct line *line)
{
	size_t seen = len < max_len ? len : max_len;
	const char *end = seen == 0 ? NULL : memchr(bytes, '\n', seen);

	*line = (struct line){ .text = bytes, .len = seen, .taken = seen };
	if (end == NULL)
		return len < max_len ? LINE_MORE : LINE_LONG;
	line->len = (size_t)(end - bytes);
	line->taken = line->len + 1;
	if (line->len > 0 && bytes[line->len - 1] == '\r')
		line->len--;
	if (memchr(bytes, '\0', line->len) != NULL || memchr(bytes, '\r', line->len) != NULL)
		return LINE_BAD;
	return LINE_DONE;
}

enum line_state
line_next(const struct buf *in, size_t max_len, struct line *line)
{
	return line_find(buf_head(in), in->len, max_len, line);
}

bool
line_begins(const struct line *line, const char *word)
{
	size_t len = strlen(word);

	return line->len >= len && strncasecmp(line->text, word, len) == 0 &&
	    (line->len == len || line->text[len] == ' ');
}

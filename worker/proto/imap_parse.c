#include "worker/proto/imap_parse.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/num.h"

/* Turns to the line that begins at p->at. */
static enum imap_parse_state
turn_line(struct imap_parse *p)
{
	enum line_state state = line_find(p->bytes + p->at, p->len - p->at, p->max_len - p->at, &p->line);

	p->end = p->at + p->line.len;
	p->next = p->at + p->line.taken;
	switch (state) {
	case LINE_MORE:
		return IMAP_PARSE_MORE;
	case LINE_LONG:
		return IMAP_PARSE_LONG;
	case LINE_BAD:
		return IMAP_PARSE_BAD;
	case LINE_DONE:
		break;
	}
	return IMAP_PARSE_DONE;
}

enum imap_parse_state
imap_parse_open(struct imap_parse *p, const struct buf *in, size_t max_len, size_t invited)
{
	*p = (struct imap_parse){ .bytes = buf_head(in), .len = in->len, .max_len = max_len,
		.invited = invited };
	return turn_line(p);
}

bool
imap_parse_blanks(struct imap_parse *p)
{
	size_t start = p->at;

	while (p->at < p->end && p->bytes[p->at] == ' ')
		p->at++;
	return p->at > start;
}

bool
imap_parse_end(struct imap_parse *p)
{
	imap_parse_blanks(p);
	return p->at == p->end;
}

static bool
is_atom_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

static bool
is_astring_char(char c)
{
	return is_atom_char(c) || c == ']';
}

/* What may be no part of a quoted string or a literal. */
static bool
is_bare_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && c != '"' && c != '{';
}

static bool
is_tag_char(char c)
{
	return is_astring_char(c) && c != '+';
}

/* Reads as many characters as `fits` takes, at least one. */
static bool
read_word(struct imap_parse *p, bool (*fits)(char c), struct imap_text *out)
{
	size_t start = p->at;

	while (p->at < p->end && fits(p->bytes[p->at]))
		p->at++;
	*out = (struct imap_text){ .at = p->bytes + start, .len = p->at - start };
	return out->len > 0;
}

bool
imap_parse_tag(struct imap_parse *p, struct imap_text *out)
{
	return read_word(p, is_tag_char, out) && out->len <= IMAP_TAG_MAX;
}

bool
imap_parse_atom(struct imap_parse *p, struct imap_text *out)
{
	return read_word(p, is_atom_char, out);
}

static enum imap_parse_state
read_quoted(struct imap_parse *p, struct imap_text *out)
{
	size_t start = ++p->at;

	for (; p->at < p->end && p->bytes[p->at] != '"'; p->at++) {
		if (p->bytes[p->at] != '\\')
			continue;
		p->at++;
		if (p->at == p->end || (p->bytes[p->at] != '"' && p->bytes[p->at] != '\\'))
			return IMAP_PARSE_BAD;
	}
	if (p->at == p->end)
		return IMAP_PARSE_BAD;
	*out = (struct imap_text){ .at = p->bytes + start, .len = p->at++ - start, .quoted = true };
	return IMAP_PARSE_DONE;
}

static enum imap_parse_state
read_literal(struct imap_parse *p, struct imap_text *out)
{
	struct imap_literal literal;

	if (!imap_parse_literal(&p->line, &literal) || literal.start != p->line.len - (p->end - p->at))
		return IMAP_PARSE_BAD;
	if (literal.len > p->max_len - p->next)
		return IMAP_PARSE_LONG;
	p->at = p->next;
	if (literal.waits && p->at > p->invited)
		return IMAP_PARSE_INVITE;
	if (literal.len > p->len - p->at)
		return IMAP_PARSE_MORE;
	*out = (struct imap_text){ .at = p->bytes + p->at, .len = (size_t)literal.len };
	p->at += out->len;
	return turn_line(p);
}

/* A quoted string, a literal, or a word of what `fits` takes. */
static enum imap_parse_state
read_string(struct imap_parse *p, bool (*fits)(char c), struct imap_text *out)
{
	char first = p->at < p->end ? p->bytes[p->at] : '\0';

	if (first == '"')
		return read_quoted(p, out);
	if (first == '{')
		return read_literal(p, out);
	return read_word(p, fits, out) ? IMAP_PARSE_DONE : IMAP_PARSE_BAD;
}

enum imap_parse_state
imap_parse_astring(struct imap_parse *p, struct imap_text *out)
{
	return read_string(p, is_astring_char, out);
}

enum imap_parse_state
imap_parse_credential(struct imap_parse *p, struct imap_text *out)
{
	if (p->at < p->end && p->bytes[p->at] == '(')
		return IMAP_PARSE_BAD;
	return read_string(p, is_bare_char, out);
}

static bool
passes(struct imap_parse *p, char c)
{
	if (p->at == p->end || p->bytes[p->at] != c)
		return false;
	p->at++;
	return true;
}

enum imap_parse_state
imap_parse_id_open(struct imap_parse *p, bool *is_list)
{
	struct imap_text text;

	*is_list = passes(p, '(');
	if (!*is_list)
		return imap_parse_atom(p, &text) && imap_text_is(&text, "NIL") ? IMAP_PARSE_DONE : IMAP_PARSE_BAD;
	imap_parse_blanks(p);
	return IMAP_PARSE_DONE;
}

/* One string of the list and the blanks behind it. */
static enum imap_parse_state
read_item(struct imap_parse *p, struct imap_text *out)
{
	enum imap_parse_state state = imap_parse_astring(p, out);

	if (state == IMAP_PARSE_DONE && !imap_parse_blanks(p) && (p->at == p->end || p->bytes[p->at] != ')'))
		return IMAP_PARSE_BAD;
	return state;
}

enum imap_parse_state
imap_parse_id_next(struct imap_parse *p, struct imap_text *field, struct imap_text *value)
{
	enum imap_parse_state state;

	field->at = NULL;
	if (passes(p, ')'))
		return IMAP_PARSE_DONE;
	if ((state = read_item(p, field)) != IMAP_PARSE_DONE)
		return state;
	return read_item(p, value);
}

bool
imap_parse_literal(const struct line *line, struct imap_literal *out)
{
	const char *text = line->text;
	size_t end = line->len, start;

	if (end == 0 || text[--end] != '}')
		return false;
	out->waits = end == 0 || text[end - 1] != '+';
	if (!out->waits)
		end--;
	for (start = end; start > 0 && isdigit((unsigned char)text[start - 1]);)
		start--;
	if (start == end || start == 0 || text[start - 1] != '{')
		return false;
	out->start = start - 1;
	if (num_parse_len(text + start, end - start, UINT64_MAX, &out->len) == -1)
		out->len = UINT64_MAX;
	return true;
}

bool
imap_text_is(const struct imap_text *text, const char *word)
{
	return text->len == strlen(word) && strncasecmp(text->at, word, text->len) == 0;
}

char *
imap_text_copy(const struct imap_text *text, size_t *len)
{
	char *copy = mem_strndup(text->at, text->len), *to = copy;

	for (size_t i = 0; i < text->len; i++) {
		if (text->quoted && text->at[i] == '\\')
			i++;            /* never the last one: the parser saw to that */
		*to++ = text->at[i];
	}
	*len = (size_t)(to - copy);
	mem_wipe(to, text->len - *len); /* it is a secret, perhaps */
	return copy;
}

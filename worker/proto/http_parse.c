#include "worker/proto/http_parse.h"

#include <string.h>
#include <strings.h>

#include "common/num.h"

/* One head while it is read. */
struct reading {
	struct http_head *head;
	void (*on_header)(void *ctx, const char *name, const char *value);
	void *ctx;
	unsigned minor;         /* of HTTP/1.minor */
	bool has_length, close, stay;
};

static enum http_verdict
bad(struct http_head *head, const char *reason)
{
	head->reason = reason;
	return HTTP_BAD;
}

/* Takes one line off *at: its text without CRLF or LF, or NULL if its end is not there. */
static char *
next_line(char **at, const char *end, size_t *len)
{
	char *line = *at, *lf = line == end ? NULL : memchr(line, '\n', (size_t)(end - line));

	if (lf == NULL)
		return NULL;
	*at = lf + 1;
	*len = (size_t)(lf - line);
	if (*len > 0 && line[*len - 1] == '\r')
		(*len)--;
	return line;
}

/* The length of the first head in `in`, its blank line included; 0 if its end is not there. */
static size_t
head_len(const struct buf *in)
{
	char *start = buf_head(in), *at = start;
	size_t len;

	while (next_line(&at, start + in->len, &len) != NULL)
		if (len == 0)
			return (size_t)(at - start);
	return 0;
}

static bool
is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(const char *text, size_t len)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0' || strchr(allowed, text[i]) == NULL)
			return false;
	return len > 0;
}

/* "HTTP/1.1 200 OK"; the reason phrase and the blank before it may be missing. */
static bool
read_status_line(struct reading *r, const char *line, size_t len)
{
	static const char form[] = "HTTP/1.";
	const size_t skip = sizeof(form) - 1;

	if (len < skip + 5 || memcmp(line, form, skip) != 0 || !is_text(line, len))
		return false;
	line += skip;
	len -= skip;
	if (!is_digit(line[0]) || line[1] != ' ' || line[2] < '1' || line[2] > '5' ||
	    !is_digit(line[3]) || !is_digit(line[4]) || (len > 5 && line[5] != ' '))
		return false;
	r->minor = (unsigned)(line[0] - '0');
	r->head->status = (unsigned)((line[2] - '0') * 100 + (line[3] - '0') * 10 + line[4] - '0');
	return true;
}

/* The list of RFC 9110 section 7.6.1: only two of its words concern us. */
static void
read_connection(struct reading *r, const char *list)
{
	for (size_t len; *list != '\0'; list += len) {
		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		r->close |= len == 5 && strncasecmp(list, "close", len) == 0;
		r->stay |= len == 10 && strncasecmp(list, "keep-alive", len) == 0;
	}
}

/* Framing that two readers could understand differently is refused (RFC 9112 section 6.3). */
static const char *
read_framing(struct reading *r, const char *name, const char *value)
{
	struct http_head *head = r->head;

	if (strcasecmp(name, "Connection") == 0) {
		read_connection(r, value);
	} else if (strcasecmp(name, "Content-Length") == 0) {
		if (r->has_length || head->chunked ||
		    num_parse_len(value, strlen(value), INT64_MAX, &head->body_len) == -1)
			return "bad Content-Length";
		r->has_length = true;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (r->has_length || head->chunked || r->minor == 0 || strcasecmp(value, "chunked") != 0)
			return "bad Transfer-Encoding";
		head->chunked = true;
	}
	return NULL;
}

/* Cuts `line` into name and value, in place. Returns NULL, or what is wrong with it. */
static const char *
read_field(struct reading *r, char *line, size_t len)
{
	char *colon = memchr(line, ':', len), *value;
	const char *why;

	if (colon == NULL || !is_token(line, (size_t)(colon - line)))
		return "bad header name";
	value = colon + 1;
	len -= (size_t)(value - line);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	for (; len > 0 && (*value == ' ' || *value == '\t'); len--)
		value++;
	if (!is_text(value, len))
		return "control byte in a header";
	*colon = value[len] = '\0';
	if ((why = read_framing(r, line, value)) == NULL && r->head->status >= 200)
		r->on_header(r->ctx, line, value);
	return why;
}

/* When the body ends and whether another response may follow it (RFC 9112 sections 6.3 and 9.3). */
static void
conclude(const struct reading *r)
{
	struct http_head *head = r->head;

	if (head->status == 204 || head->status == 304) {
		head->chunked = false;
		head->body_len = 0;
	} else {
		head->until_close = !head->chunked && !r->has_length;
	}
	head->keep_alive = !head->until_close && !r->close && (r->minor > 0 || r->stay);
}

/* Reads the head that fills the first `len` bytes of `in`. */
static enum http_verdict
read_head(struct reading *r, char *at, size_t len)
{
	const char *end = at + len, *why;
	char *line = next_line(&at, end, &len);

	if (!read_status_line(r, line, len))
		return bad(r->head, "bad status line");
	while ((line = next_line(&at, end, &len)) != NULL && len > 0)
		if ((why = read_field(r, line, len)) != NULL)
			return bad(r->head, why);
	if (r->head->status == 101)
		return bad(r->head, "another protocol than asked for");
	conclude(r);
	return HTTP_DONE;
}

enum http_verdict
http_parse_head(struct buf *in, struct http_head *head,
    void (*on_header)(void *ctx, const char *name, const char *value), void *ctx)
{
	size_t len;

	while ((len = head_len(in)) > 0) {
		struct reading r = { .head = head, .on_header = on_header, .ctx = ctx };
		enum http_verdict verdict;

		*head = (struct http_head){ 0 };
		verdict = read_head(&r, buf_head(in), len);
		if (verdict == HTTP_DONE)
			buf_take(in, len);
		if (verdict == HTTP_BAD || head->status >= 200)
			return verdict;
	}
	*head = (struct http_head){ 0 };
	return buf_left(in) > 0 ? HTTP_MORE : bad(head, "head too long");
}

/* Where a chunked body stands (RFC 9112 section 7.1). */
enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER, CHUNK_DONE };

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "1a2b" or "1a2b;extension". Returns 0, or -1. */
static int
read_chunk_size(const char *line, size_t len, uint64_t *size)
{
	size_t digits = 0;

	for (*size = 0; digits < len && hex_digit(line[digits]) != -1; digits++)
		*size = *size << 4 | (uint64_t)hex_digit(line[digits]);
	if (digits == 0 || digits > 15)
		return -1;
	return digits == len || line[digits] == ';' || line[digits] == ' ' || line[digits] == '\t' ? 0 : -1;
}

/* One line of the frame around the chunks. Returns 0, or -1. */
static int
read_chunk_line(struct http_body *body, const char *line, size_t len)
{
	switch ((enum chunk_state)body->state) {
	case CHUNK_SIZE:
		if (read_chunk_size(line, len, &body->left) == -1)
			return -1;
		body->state = body->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
		return 0;
	case CHUNK_END:
		body->state = CHUNK_SIZE;
		return len == 0 ? 0 : -1;
	case CHUNK_TRAILER:
		if (len == 0)
			body->state = CHUNK_DONE;
		return 0;
	case CHUNK_DATA:
	case CHUNK_DONE:
		break;
	}
	return -1;
}

static enum http_verdict
bad_body(struct http_body *body, const char *reason)
{
	body->reason = reason;
	return HTTP_BAD;
}

/* Takes `len` bytes that are there. */
static enum http_verdict
take(struct buf *in, size_t len, struct http_body *body, struct buf *out)
{
	if (out != NULL && buf_add(out, buf_head(in), len) == -1)
		return bad_body(body, "body too long");
	buf_take(in, len);
	return HTTP_MORE;
}

/* Takes what of `body->left` is there; HTTP_DONE when that was all. */
static enum http_verdict
take_counted(struct buf *in, struct http_body *body, struct buf *out)
{
	size_t len = in->len < body->left ? in->len : (size_t)body->left;

	if (out != NULL && body->left > buf_left(out))
		return bad_body(body, "body too long");
	take(in, len, body, out);
	body->left -= len;
	return body->left > 0 ? HTTP_MORE : HTTP_DONE;
}

/* Takes one line of the frame. */
static enum http_verdict
take_chunk_line(struct buf *in, struct http_body *body)
{
	char *start = buf_head(in), *at = start, *line;
	size_t len;

	if ((line = next_line(&at, start + in->len, &len)) == NULL)
		return buf_left(in) > 0 ? HTTP_MORE : bad_body(body, "chunk line too long");
	if (read_chunk_line(body, line, len) == -1)
		return bad_body(body, "bad chunk");
	buf_take(in, (size_t)(at - start));
	return HTTP_DONE;
}

static enum http_verdict
take_chunks(struct buf *in, struct http_body *body, struct buf *out)
{
	while (body->state != CHUNK_DONE) {
		bool in_data = body->state == CHUNK_DATA;
		enum http_verdict verdict = in_data ? take_counted(in, body, out) : take_chunk_line(in, body);

		if (verdict != HTTP_DONE)
			return verdict;
		if (in_data)
			body->state = CHUNK_END;
	}
	return HTTP_DONE;
}

enum http_verdict
http_take_body(struct buf *in, const struct http_head *head, struct http_body *body, struct buf *out)
{
	if (head->chunked)
		return take_chunks(in, body, out);
	if (head->until_close)
		return take(in, in->len, body, out);
	/* `state` says whether the count has begun. */
	if (body->state == 0) {
		body->state = 1;
		body->left = head->body_len;
	}
	return take_counted(in, body, out);
}

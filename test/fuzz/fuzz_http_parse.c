#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/proto/http_parse.h"

#define LIMIT 2048
#define CONTENT 256             /* bytes of a body that are wanted */

/* What came of one response: the sum stands for all that on_header() was told, and the body. */
struct outcome {
	struct http_head head;
	enum http_verdict parsed, taken;
	size_t left;
	uint64_t sum, body_sum;
};

static void
add_up(uint64_t *sum, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*sum = *sum * 31 + (unsigned char)bytes[i];
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct outcome *outcome = ctx;

	MUST(*name != '\0' && strpbrk(name, "\r\n: ") == NULL && strpbrk(value, "\r\n") == NULL);
	add_up(&outcome->sum, name, strlen(name));
	add_up(&outcome->sum, value, strlen(value));
}

/* Reads a response that comes in pieces of `step` bytes. */
static struct outcome
read_response(const uint8_t *data, size_t size, size_t step)
{
	struct outcome outcome = { .parsed = HTTP_MORE, .taken = HTTP_MORE };
	struct http_body body = { 0 };
	struct buf in, content;

	buf_init(&in, LIMIT);
	buf_init(&content, CONTENT);
	for (size_t at = 0; at < size && outcome.taken == HTTP_MORE && outcome.parsed != HTTP_BAD; at += step) {
		MUST(buf_add(&in, data + at, step < size - at ? step : size - at) == 0);
		if (outcome.parsed == HTTP_MORE)
			outcome.parsed = http_parse_head(&in, &outcome.head, on_header, &outcome);
		if (outcome.parsed == HTTP_DONE)
			outcome.taken = http_take_body(&in, &outcome.head, &body, &content);
		outcome.left = in.len + size - at - (step < size - at ? step : size - at);
	}
	add_up(&outcome.body_sum, buf_head(&content), outcome.taken == HTTP_BAD ? 0 : content.len);
	buf_reset(&in);
	buf_reset(&content);
	return outcome;
}

/* However a response is cut, it means the same and ends at the same byte. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;

	if (size >= LIMIT)
		return 0;
	whole = read_response(data, size, size > 0 ? size : 1);
	cut = read_response(data, size, 1);
	MUST(whole.parsed == cut.parsed && whole.taken == cut.taken);
	if (whole.parsed == HTTP_BAD) {
		MUST(whole.head.reason != NULL && cut.head.reason != NULL);
		return 0;
	}
	MUST(whole.sum == cut.sum && whole.body_sum == cut.body_sum && whole.head.status == cut.head.status);
	MUST(whole.taken != HTTP_DONE || whole.left == cut.left);
	MUST(!whole.head.keep_alive || !whole.head.until_close);
	return 0;
}

#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/proto/http_parse.h"

#define LIMIT 2048

/* What came of one response: the sum stands for all that on_header() was told. */
struct outcome {
	struct http_head head;
	enum http_verdict parsed, skipped;
	size_t left;
	uint64_t sum;
};

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct outcome *outcome = ctx;

	MUST(*name != '\0' && strpbrk(name, "\r\n: ") == NULL && strpbrk(value, "\r\n") == NULL);
	for (; *name != '\0'; name++)
		outcome->sum = outcome->sum * 31 + (unsigned char)*name;
	for (; *value != '\0'; value++)
		outcome->sum = outcome->sum * 31 + (unsigned char)*value;
}

/* Reads a response that comes in pieces of `step` bytes. */
static struct outcome
read_response(const uint8_t *data, size_t size, size_t step)
{
	struct outcome outcome = { .parsed = HTTP_MORE, .skipped = HTTP_MORE };
	struct http_body body = { 0 };
	struct buf in;

	buf_init(&in, LIMIT);
	for (size_t at = 0; at < size && outcome.skipped == HTTP_MORE && outcome.parsed != HTTP_BAD; at += step) {
		MUST(buf_add(&in, data + at, step < size - at ? step : size - at) == 0);
		if (outcome.parsed == HTTP_MORE)
			outcome.parsed = http_parse_head(&in, &outcome.head, on_header, &outcome);
		if (outcome.parsed == HTTP_DONE)
			outcome.skipped = http_skip_body(&in, &outcome.head, &body);
		outcome.left = in.len + size - at - (step < size - at ? step : size - at);
	}
	buf_reset(&in);
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
	MUST(whole.parsed == cut.parsed && whole.skipped == cut.skipped);
	if (whole.parsed == HTTP_BAD) {
		MUST(whole.head.reason != NULL && cut.head.reason != NULL);
		return 0;
	}
	MUST(whole.sum == cut.sum && whole.head.status == cut.head.status);
	MUST(whole.skipped != HTTP_DONE || whole.left == cut.left);
	MUST(!whole.head.keep_alive || !whole.head.until_close);
	return 0;
}

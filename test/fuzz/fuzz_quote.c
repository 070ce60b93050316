#include <stdbool.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/proto/quote.h"

#define LIMIT (1u << 20)

struct form {
	int (*quote)(struct buf *out, const char *text);
	char mark;
	const char *never;      /* bytes that may not stand in it, besides those up to the blank */
};

static const struct form forms[] = {
	{ quote_xtext,   '+', "=\x7f\x80\xff" },
	{ quote_percent, '%', "" },
	{ quote_form,    '%', "+&=;/\"\x7f\x80\xff" },
};

static int
digit(char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* What a reader makes of it: the same text, of bytes that the format has. */
static void
read_back(const struct form *form, const char *quoted, size_t len, const char *text)
{
	for (size_t i = 0; i < len; i++, text++) {
		unsigned char byte = (unsigned char)quoted[i];

		MUST(byte > ' ' && strchr(form->never, quoted[i]) == NULL);
		if (quoted[i] == form->mark) {
			MUST(len - i > 2 && digit(quoted[i + 1]) != -1 && digit(quoted[i + 2]) != -1);
			byte = (unsigned char)(digit(quoted[i + 1]) * 16 + digit(quoted[i + 2]));
			i += 2;
		}
		MUST(byte == (unsigned char)*text && byte != '\0');
	}
	MUST(*text == '\0');
}

static void
read_back_imap(const char *quoted, size_t len, const char *text)
{
	MUST(len >= 2 && quoted[0] == '"' && quoted[len - 1] == '"');
	for (size_t i = 1; i < len - 1; i++, text++) {
		MUST(quoted[i] != '"');
		if (quoted[i] == '\\') {
			i++;
			MUST(i < len - 1 && (quoted[i] == '"' || quoted[i] == '\\'));
		}
		MUST(quoted[i] == *text && *text != '\r' && *text != '\n');
	}
	MUST(*text == '\0');
}

/* Where there is room it is the whole, behind what stands there; where one byte is missing it is nothing. */
static void
try_form(const struct form *form, const char *text)
{
	struct buf out, tight;
	size_t len;

	buf_init(&out, LIMIT);
	MUST(buf_add_text(&out, "a=") == 0);
	MUST(form->quote(&out, text) == 0);
	len = out.len - 2;
	MUST(memcmp(buf_head(&out), "a=", 2) == 0);
	read_back(form, buf_head(&out) + 2, len, text);
	if (len > 0) {
		buf_init(&tight, len - 1);
		MUST(form->quote(&tight, text) == -1 && tight.len == 0);
		buf_reset(&tight);
	}
	buf_reset(&out);
}

static void
try_imap(const char *text)
{
	struct buf out;

	if (!quote_fits_imap(text))
		return;
	buf_init(&out, LIMIT);
	MUST(quote_imap(&out, text) == 0);
	read_back_imap(buf_head(&out), out.len, text);
	buf_reset(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size < LIMIT / 4 ? size : LIMIT / 4);

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		try_form(&forms[i], text);
	try_imap(text);
	mem_free(text);
	return 0;
}

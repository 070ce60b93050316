#include "worker/proto/quote.h"

#include <string.h>

/* Appends `text`; bytes for which `special` holds become `mark` and two hexadecimal digits. */
static int
quote_hex(struct buf *out, const char *text, char mark, bool (*special)(unsigned char byte))
{
	static const char digits[] = "0123456789ABCDEF";
	size_t len = 0;
	char *to;

	for (const char *p = text; *p != '\0'; p++)
		len += special((unsigned char)*p) ? 3 : 1;
	if (len == 0)
		return 0;
	if ((to = buf_room(out, len)) == NULL)
		return -1;
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char byte = (unsigned char)*p;

		if (special(byte)) {
			*to++ = mark;
			*to++ = digits[byte >> 4];
			*to++ = digits[byte & 15];
		} else
			*to++ = *p;
	}
	buf_added(out, len);
	return 0;
}

static bool
is_special_in_xtext(unsigned char byte)
{
	return byte < 0x21 || byte > 0x7e || byte == '+' || byte == '=';
}

int
quote_xtext(struct buf *out, const char *text)
{
	return quote_hex(out, text, '+', is_special_in_xtext);
}

static bool
is_special_in_header(unsigned char byte)
{
	return byte <= ' ' || byte == '%';
}

int
quote_percent(struct buf *out, const char *text)
{
	return quote_hex(out, text, '%', is_special_in_header);
}

static bool
is_special_in_form(unsigned char byte)
{
	return !((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	    byte == '-' || byte == '.' || byte == '_');
}

int
quote_form(struct buf *out, const char *text)
{
	return quote_hex(out, text, '%', is_special_in_form);
}

bool
quote_fits_imap(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 0x7f || *text == '\r' || *text == '\n')
			return false;
	return true;
}

int
quote_imap(struct buf *out, const char *text)
{
	size_t len = 2;
	char *to;

	for (const char *p = text; *p != '\0'; p++)
		len += *p == '"' || *p == '\\' ? 2 : 1;
	if ((to = buf_room(out, len)) == NULL)
		return -1;
	*to++ = '"';
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			*to++ = '\\';
		*to++ = *p;
	}
	*to = '"';
	buf_added(out, len);
	return 0;
}

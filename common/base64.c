#include "common/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits that `c` stands for, or -1; the last two letters differ between the alphabets. */
static int
sextet(char c, const char *last_two)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == last_two[0] ? 62 : c == last_two[1] ? 63 : -1;
}

/* Reads `count` characters, of which two make a byte and four make three. Returns how many bytes, or -1. */
static int
group_decode(unsigned char *to, const char *text, unsigned count, const char *last_two)
{
	unsigned missing = 4 - count;
	uint32_t bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		int six = i < count ? sextet(text[i], last_two) : 0;

		if (six == -1)
			return -1;
		bits = bits << 6 | (uint32_t)six;
	}
	/* What is missing must be zero, or one value would have several texts. */
	if (count < 2 || (bits & ((1u << 8 * missing) - 1)) != 0)
		return -1;
	for (unsigned i = 0; i < 3 - missing; i++)
		to[i] = (unsigned char)(bits >> (16 - 8 * i));
	return (int)(3 - missing);
}

ssize_t
base64_decode(void *out, const char *text, size_t len)
{
	size_t written = 0;

	if (len % 4 != 0)
		return -1;
	for (size_t at = 0; at < len; at += 4) {
		unsigned pad = at + 4 < len || text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
		int count = group_decode((unsigned char *)out + written, text + at, 4 - pad, "+/");

		if (count == -1)
			return -1;
		written += (size_t)count;
	}
	return (ssize_t)written;
}

ssize_t
base64url_decode(void *out, const char *text, size_t len)
{
	size_t written = 0;

	for (size_t at = 0; at < len; at += 4) {
		size_t left = len - at;
		int count =
		    group_decode((unsigned char *)out + written, text + at, left < 4 ? (unsigned)left : 4, "-_");

		if (count == -1)
			return -1;
		written += (size_t)count;
	}
	return (ssize_t)written;
}

size_t
base64_encode(char *out, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;
	size_t written = 0;

	for (size_t at = 0; at < len; at += 3) {
		size_t count = len - at < 3 ? len - at : 3;
		uint32_t bits = 0;

		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < count ? from[at + i] : 0u);
		for (size_t i = 0; i < 4; i++)
			out[written++] = i <= count ? alphabet[bits >> (18 - 6 * i) & 0x3f] : '=';
	}
	return written;
}

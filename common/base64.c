#include "common/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits that `c` stands for, or -1. */
static int
sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Reads `count` characters as the first ones of a group of four. Returns 0, or -1. */
static int
group_decode(const char *text, unsigned count, uint32_t *bits)
{
	*bits = 0;
	for (unsigned i = 0; i < 4; i++) {
		int six = i < count ? sextet(text[i]) : 0;

		if (six == -1)
			return -1;
		*bits = *bits << 6 | (uint32_t)six;
	}
	return 0;
}

ssize_t
base64_decode(void *out, const char *text, size_t len)
{
	unsigned char *to = out;
	size_t written = 0;

	if (len % 4 != 0)
		return -1;
	for (size_t at = 0; at < len; at += 4) {
		unsigned pad = at + 4 < len || text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
		uint32_t bits;

		/* What padding stands for must be zero, or one value would have several texts. */
		if (group_decode(text + at, 4 - pad, &bits) == -1 || (bits & ((1u << 8 * pad) - 1)) != 0)
			return -1;
		for (unsigned i = 0; i < 3 - pad; i++)
			to[written++] = (unsigned char)(bits >> (16 - 8 * i));
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

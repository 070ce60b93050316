#include "common/utf8.h"

size_t
utf8_len(const unsigned char *s, size_t len)
{
	size_t want = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	/* Of the second byte: below, the form is overlong; above, it is a surrogate or past U+10FFFF. */
	unsigned lowest = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned highest = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;

	if (want > len)
		return 0;
	if (want > 1 && (s[1] < lowest || s[1] > highest))
		return 0;
	for (size_t i = 2; i < want; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return want;
}

bool
utf8_is_valid(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t taken;

	for (size_t at = 0; at < len; at += taken)
		if ((taken = utf8_len(s + at, len - at)) == 0)
			return false;
	return true;
}

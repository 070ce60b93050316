/*
 * utf8 - is this UTF-8?
 *
 * As RFC 3629 section 4 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
 * Built on: nothing.
 */
#ifndef POSTERN_COMMON_UTF8_H
#define POSTERN_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the character at `s`, where `len` > 0 bytes are; 0 if there is none. */
size_t utf8_len(const unsigned char *s, size_t len);

/* Is all of it UTF-8? */
bool utf8_is_valid(const char *text, size_t len);

#endif

/*
 * base64 - RFC 4648 section 4, strict
 *
 * Decoding takes the canonical form only: full groups, right padding, zero bits
 * behind the last byte, nothing after it. Built on: nothing.
 */
#ifndef POSTERN_COMMON_BASE64_H
#define POSTERN_COMMON_BASE64_H

#include <stddef.h>
#include <sys/types.h>

#define BASE64_ENCODED(len) (((len) + 2) / 3 * 4)       /* without NUL */
#define BASE64_DECODED(len) ((len) / 4 * 3)             /* upper bound */

/*
 * Writes at most BASE64_DECODED(len) bytes; `out` may be `text` itself. Returns how many,
 * or -1 if `text` is not base64, and then some bytes may have been written.
 */
ssize_t base64_decode(void *out, const char *text, size_t len);

/* Writes BASE64_ENCODED(len) characters, no NUL, and returns how many. */
size_t base64_encode(char *out, const void *bytes, size_t len);

#endif

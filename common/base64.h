/*
 * base64 - RFC 4648 sections 4 and 5, strict
 *
 * Decoding takes the canonical form only: full groups, right padding, zero bits
 * behind the last byte, nothing after it. base64url is what JSON Web Tokens are made
 * of: other letters, and no padding (RFC 7515 section 2). Built on: nothing.
 */
#ifndef POSTERN_COMMON_BASE64_H
#define POSTERN_COMMON_BASE64_H

#include <stddef.h>
#include <sys/types.h>

#define BASE64_ENCODED(len) (((len) + 2) / 3 * 4)       /* without NUL */
#define BASE64_DECODED(len) ((len) / 4 * 3)             /* upper bound */
#define BASE64URL_DECODED(len) ((len) / 4 * 3 + (len) % 4 * 3 / 4)

/*
 * Writes at most BASE64_DECODED(len) bytes; `out` may be `text` itself. Returns how many,
 * or -1 if `text` is not base64, and then some bytes may have been written.
 */
ssize_t base64_decode(void *out, const char *text, size_t len);
ssize_t base64url_decode(void *out, const char *text, size_t len);      /* BASE64URL_DECODED(len) bytes */

/* Writes BASE64_ENCODED(len) characters, no NUL, and returns how many. */
size_t base64_encode(char *out, const void *bytes, size_t len);

#endif

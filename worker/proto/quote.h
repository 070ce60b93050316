/*
 * quote - how each format wants a stranger's bytes written
 *
 * Built on: buf.
 */
#ifndef POSTERN_WORKER_PROTO_QUOTE_H
#define POSTERN_WORKER_PROTO_QUOTE_H

#include <stdbool.h>

#include "common/buf.h"

/* All append the whole text, or nothing and return -1 when the limit of `out` would be passed. */

/* xtext of RFC 3461 section 4: bytes below 0x21, above 0x7e, `+` and `=` become +XX. */
int quote_xtext(struct buf *out, const char *text);

/* What auth_http's headers take: bytes below 0x20, blank and `%` become %XX, nothing else (NGINX's rule). */
int quote_percent(struct buf *out, const char *text);

/* application/x-www-form-urlencoded: all but letters, digits, `-`, `.` and `_` become %XX, the blank too. */
int quote_form(struct buf *out, const char *text);

/* Can it be an IMAP quoted string (RFC 9051 section 4.3): 7-bit, no CR, LF or NUL? */
bool quote_fits_imap(const char *text);

/* As an IMAP quoted string, `"` and `\` escaped. Only for text that fits. */
int quote_imap(struct buf *out, const char *text);

#endif

/*
 * tlserror - why OpenSSL could not do it, as nginx puts it
 *
 * `TEXT (SSL: error:0A0000B9:SSL routines::no cipher match)`: the caller's words, then
 * everything that waits in OpenSSL's queue, which is empty afterwards.
 * Built on: OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSERROR_H
#define POSTERN_COMMON_TLSERROR_H

#include <stddef.h>

/* Writes one line of at most `size` - 1 bytes and a NUL. */
void tlserror_write(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif

/*
 * num - numbers, sizes and times as text
 *
 * Strict: the whole text must be the number, nothing wraps, no sign, no blank.
 * Built on: nothing.
 */
#ifndef POSTERN_COMMON_NUM_H
#define POSTERN_COMMON_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits, at most `max`. Returns 0, or -1 and leaves *out alone. */
int num_parse(const char *text, unsigned max, unsigned *out);

/* The same for text that is not NUL-terminated and for 64 bits. */
int num_parse_len(const char *text, size_t len, uint64_t max, uint64_t *out);

/* A size in bytes, with suffix k, K, m or M as nginx has it. Returns 0, or -1 (also when above `max`). */
int num_parse_size(const char *text, uint64_t max, uint64_t *bytes);

/*
 * A time as nginx writes it: units `ms s m h d w M y` from larger to smaller, blanks
 * behind each allowed, a bare number is seconds (last). With `in_ms` the result is
 * milliseconds and `M`, `y` are refused; without it the result is seconds and `ms` is
 * refused. Returns 0, or -1 (also when above `max`).
 */
int num_parse_time(const char *text, bool in_ms, uint64_t max, uint64_t *out);

#endif

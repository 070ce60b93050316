/*
 * fuzz - what the fuzz targets share
 *
 * fuzz_MODULE.c feeds one parser with bytes that nobody chose and states with MUST()
 * what must be true of the outcome. Under --enable-fuzzing libFuzzer calls it (`make
 * fuzz`); in every other build replay.c is its main() and `make check` runs it over
 * test/fuzz/corpus/MODULE/, so that what was once found stays found. The bytes lie in
 * a block of exactly `size`, and a sanitizer sees who reads past it.
 */
#ifndef POSTERN_TEST_FUZZ_FUZZ_H
#define POSTERN_TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's name for a target; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

/*
 * crypthash - the hashes of crypt(3): what is one, what fits it, what it costs
 *
 * Whatever the system's libcrypt knows is known here. Hashes are NUL-terminated.
 * Built on: mem, num, libcrypt.
 */
#ifndef POSTERN_WORKER_HELPER_CRYPTHASH_H
#define POSTERN_WORKER_HELPER_CRYPTHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns NULL, or a static phrase saying why `hash` is none that begins with `prefix` and can be verified. */
const char *crypthash_judge(const char *hash, const char *prefix);

/* Is `pass`, which holds no NUL, the password? */
bool crypthash_fits(const char *hash, const char *pass, size_t len);

/* What crypthash_fits() costs, in very rough microseconds; the proportions between hashes are what counts. */
uint64_t crypthash_cost(const char *hash);

#endif

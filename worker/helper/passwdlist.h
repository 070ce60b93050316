/*
 * passwdlist - the users of a password file, for people and for cut(1)
 *
 * Pure. Built on: buf, must, passwdline, secret.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDLIST_H
#define POSTERN_WORKER_HELPER_PASSWDLIST_H

#include <stddef.h>

#include "common/buf.h"

/*
 * Appends a line a user: name, scheme, "active" or "locked", keys; tabs between them,
 * nothing that is a password or its hash. `out` has its limit beyond that. Lines that are
 * no users are left out.
 */
void passwdlist(struct buf *out, const char *text, size_t len);

#endif

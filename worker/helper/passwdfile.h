/*
 * passwdfile - a password file as a table that answers who may log in
 *
 * The table keeps the file's text and an index over its lines, some twenty bytes a user,
 * and reads a user's line again at each question: a million users load in a second.
 * Whatever is refused costs the same: an unknown user, a locked one and a wrong
 * password pay for the costliest hash in the file. Names are compared as bytes. A file
 * with one bad line is no table. Pure. Built on: codec, mem, passwdline, secret.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDFILE_H
#define POSTERN_WORKER_HELPER_PASSWDFILE_H

#include <stddef.h>

#include "worker/helper/codec.h"

#define PASSWDFILE_MAX ((size_t)1 << 30)        /* bytes of a file */

struct passwdfile;

/*
 * Reads `text`, a block of mem that the table takes over in any case. Returns NULL and
 * the table, or a static phrase saying what is wrong, with the number of the line.
 */
const char *passwdfile_new(struct passwdfile **tablep, char *text, size_t len, unsigned *line);

/* Wipes it. NULL is fine; leaves NULL. */
void passwdfile_free(struct passwdfile **tablep);

/* How many users there are. */
size_t passwdfile_count(const struct passwdfile *table);

/* Answers into `reply`, which is the caller's to reset. */
void passwdfile_answer(const struct passwdfile *table, const struct helper_request *request,
    struct helper_reply *reply);

#endif

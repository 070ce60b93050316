/*
 * passwdfile - a password file as a table that answers who may log in
 *
 * The table is an index over the lines of the file's text, some twenty bytes a user, and
 * reads a user's line again at each question: a million users load in a second, and
 * finding one of them is reading one line. Whatever is refused costs the same: a locked
 * user and a wrong password pay for the costliest hash in the file, and so does an
 * unknown user, when nobody else is asked. Names are compared as bytes. A file with one
 * bad line is no table. Pure. Built on: codec, mem, passwdline, proof, secret.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDFILE_H
#define POSTERN_WORKER_HELPER_PASSWDFILE_H

#include <stddef.h>

#include "worker/helper/codec.h"

#define PASSWDFILE_MAX ((size_t)1 << 30)        /* bytes of a file */

struct passwdfile;

/*
 * Reads `text`, which is borrowed: it stays as it is as long as the table. Returns NULL
 * and the table, or a static phrase saying what is wrong, with the number of the line.
 */
const char *passwdfile_new(struct passwdfile **tablep, const char *text, size_t len, unsigned *line);

/* NULL is fine; leaves NULL. */
void passwdfile_free(struct passwdfile **tablep);

/* How many users there are. */
size_t passwdfile_count(const struct passwdfile *table);

/* The methods that it can answer (bits of enum method): challenges too, unless it holds nothing but hashes. */
unsigned passwdfile_methods(const struct passwdfile *table);

/* Answers into `reply`, which is the caller's to reset. */
void passwdfile_answer(const struct passwdfile *table, const struct helper_request *request,
    struct helper_reply *reply);

#endif

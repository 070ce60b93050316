/*
 * passwdask - asks a person for a password
 *
 * At the terminal it is typed unseen and twice; from standard input it is one line, once.
 * A signal meanwhile gives the terminal its echo back before it does its work.
 * Built on: mem.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDASK_H
#define POSTERN_WORKER_HELPER_PASSWDASK_H

#include <stdbool.h>

/*
 * `what` is asked for: "Password of joe". With `twice` it is to be typed again, at a
 * terminal. Returns NULL and in *secret what was said, the caller's to mem_free_secret();
 * or a static phrase saying why there is none.
 */
const char *passwdask(char **secret, const char *what, bool from_stdin, bool twice);

#endif

/*
 * secretmake - a password becomes what is stored of it
 *
 * Only what is worth storing today can be made: the slow hashes of crypt(3), and the
 * password itself for methods with a challenge. secret reads all of it. Salts come from
 * libcrypt, which takes them from the kernel. Pure otherwise. Built on: base64, mem,
 * secret, libcrypt.
 */
#ifndef POSTERN_WORKER_HELPER_SECRETMAKE_H
#define POSTERN_WORKER_HELPER_SECRETMAKE_H

struct secretmake;

/*
 * Finds the scheme of that name, in whatever case; NULL is the best that the system has.
 * `rounds` is its cost, 0 its usual one. Returns NULL, or a static phrase saying what is
 * wrong with either.
 */
const char *secretmake_find(const struct secretmake **scheme, const char *name, unsigned rounds);

/*
 * Returns NULL and in *stored a fresh "{SCHEME}text", the caller's to mem_free_secret();
 * or a static phrase saying why this password cannot be stored so.
 */
const char *secretmake_store(char **stored, const struct secretmake *scheme, unsigned rounds, const char *pass);

/* The names of all schemes, with blanks between them. */
const char *secretmake_names(void);

#endif

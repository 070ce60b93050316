/*
 * tlskey - the text of what a thing was made of
 *
 * Who comes with the same text wants the same thing (tlskept). Words are written with their
 * lengths, so that no two lists of words have one text, and a file with its identity: another
 * one of the same name, or the same one changed, is another key. Built on: mem.
 */
#ifndef POSTERN_COMMON_TLSKEY_H
#define POSTERN_COMMON_TLSKEY_H

#include <stddef.h>
#include <stdio.h>

/* A key in the making. */
struct tlskey {
	FILE *stream;           /* owned until tlskey_end() */
	char *bytes;
	size_t len;
};

/* Things of one kind and one load (0: any) may be the same. */
void tlskey_begin(struct tlskey *key, const char *kind, unsigned long load);

/* A word, or, NULL, that there is none. */
void tlskey_add(struct tlskey *key, const char *word);

/* A file, and which. */
void tlskey_add_file(struct tlskey *key, const char *path);

/* All of a NULL-ended list; NULL is an empty one. */
void tlskey_add_files(struct tlskey *key, const char *const *paths);

/* Numbers, and ends of lists: a line of a form that the kind of thing has at this place. */
void tlskey_printf(struct tlskey *key, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text, fresh (mem_*). */
char *tlskey_end(struct tlskey *key);

#endif

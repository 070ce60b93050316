/*
 * passwdstore - a file that is replaced as a whole or not at all
 *
 * Whoever reads the file sees it before a change or after it, however the change ends:
 * the new text is written beside it, with its owner, mode and access list, synced, and
 * takes its name. A symbolic link stays and its target is replaced. Of those who change
 * it at once by this module one waits for the other; somebody else's change meanwhile is
 * noticed. Built on: filetext, mem.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDSTORE_H
#define POSTERN_WORKER_HELPER_PASSWDSTORE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "worker/helper/filetext.h"

struct passwdstore {
	char *path;             /* owned: without symbolic links */
	int fd;                 /* the file, locked if it is to be changed */
	struct stat was;
	bool is_ours;           /* it was not there before */
	struct filetext text;
};

enum passwdstore_use {
	PASSWDSTORE_READ,
	PASSWDSTORE_EDIT,       /* nobody else can until passwdstore_close() */
	PASSWDSTORE_MAKE,       /* the same; if there is no file, an empty one is made, for its owner alone */
};

/* The file and its text. Returns 0, or -1 with errno and *why, the caller's to free, and nothing is open. */
int passwdstore_open(struct passwdstore *store, const char *path, enum passwdstore_use use, char **why);

/* `bytes` take the place of the old text. Returns 0, or -1 with *why, and then the old file is untouched. */
int passwdstore_replace(struct passwdstore *store, const char *bytes, size_t len, char **why);

/* A file that was made and never written goes away again. */
void passwdstore_close(struct passwdstore *store);

#endif

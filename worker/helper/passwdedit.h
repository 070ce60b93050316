/*
 * passwdedit - a password file with one user changed, and every other byte as it was
 *
 * Works on text: where lines of comment stand, what order users are in and how lines end
 * is somebody's work and stays. Of the user's own line only what is asked for changes.
 * It writes what passwdline reads, but does not judge the whole: whoever replaces a file
 * by the result lets passwdfile look at it first. Pure. Built on: buf, mem, must, passwdline.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDEDIT_H
#define POSTERN_WORKER_HELPER_PASSWDEDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum passwdedit_verb {
	PASSWDEDIT_ADD,         /* a user who must not be there yet, at the end */
	PASSWDEDIT_CHANGE,      /* secret and keys; who is locked stays locked */
	PASSWDEDIT_DELETE,
	PASSWDEDIT_LOCK,        /* puts a "!" before the secret */
	PASSWDEDIT_UNLOCK,      /* takes it away: the old password works again */
};

struct passwdedit_key {
	const char *name;
	const char *value;      /* as it is meant, "%" is doubled here; "": the name alone; NULL: the key goes */
};

/* One change. Everything is borrowed. */
struct passwdedit {
	enum passwdedit_verb verb;
	const char *user;
	const char *secret;     /* the field of the stored secret; NULL: as it was */
	const struct passwdedit_key *keys;
	size_t key_count;
};

/*
 * Appends the changed text to `out`, whose limit must lie beyond it. Returns NULL, or a
 * static phrase saying why it cannot be done, and then `out` is as it was.
 */
const char *passwdedit_apply(const struct passwdedit *edit, const char *text, size_t len, struct buf *out);

/* Is there a line of this user? Then *line and *line_len are that, without its end. */
bool passwdedit_find(const char *text, size_t len, const char *user, const char **line, size_t *line_len);

#endif

/*
 * passwdargs - what postern-passwd was asked to do
 *
 * A password never stands in a command line, which anyone on the machine can read: an
 * option that seems to bring one is refused. Built on: mem, num, passwdedit (keys).
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDARGS_H
#define POSTERN_WORKER_HELPER_PASSWDARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/helper/passwdedit.h"

enum passwdargs_does {
	PASSWDARGS_LISTS, PASSWDARGS_VERIFIES, PASSWDARGS_EDITS, PASSWDARGS_HELPS, PASSWDARGS_SAYS_VERSION
};

struct passwdargs_command {
	const char *name;
	enum passwdargs_does does;
	enum passwdedit_verb verb;      /* of one that edits */
	bool asks;                      /* for the user's password */
	bool takes_keys, needs_keys;
};

/* Texts are borrowed from argv. */
struct passwdargs {
	const struct passwdargs_command *command;
	const char *file, *user;
	const char *scheme;             /* NULL: the best */
	unsigned rounds;                /* 0: the scheme's usual ones */
	bool from_stdin, creates;
	struct passwdedit_key *keys;    /* owned */
	size_t key_count;
	struct passwdedit_key *pass;    /* the one of the keys whose value is to be asked for; NULL */
};

/*
 * Reads the command line with getopt(3), which permutes argv. Returns NULL, or what is
 * wrong, the caller's to free. passwdargs_reset() is due in either case.
 */
char *passwdargs_parse(struct passwdargs *args, int argc, char **argv);
void passwdargs_reset(struct passwdargs *args);

/* What --help says. */
extern const char passwdargs_help[];

#endif

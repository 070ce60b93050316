/*
 * helper - a process that waits for slow things so that no worker does
 *
 * Every helper program is this loop and one kind. The master has run it as the workers'
 * user and tells it over the channel what it is; it reads what it is fed, goes into the
 * sandbox, says READY, and from then on takes one request at a time out of its source's
 * mailbox, which it shares with its siblings, and answers on the socket that came with it.
 * Requests that are late, or whose asker has gone, cost nothing. A second thread blocks
 * on the channel: fresh files are read while answers go on. Ends when the master does.
 * Built on: codec, ipc, log, mem, packet, proc, sandbox.
 */
#ifndef POSTERN_WORKER_HELPER_HELPER_H
#define POSTERN_WORKER_HELPER_HELPER_H

#include <stdbool.h>

#include "common/sandbox.h"

struct helper_reply;
struct helper_request;

/* What a helper is told about its source. Borrowed for the call. */
struct helper_source {
	const char *label;
	const char *settings;           /* "name=value" lines (conf_source.settings); "" */
	/* the master's frozen copy of a file: memfd_view(), or pread(2); -1: there is none */
	int fd;
};

/* What a helper program is made of. */
struct helper_kind {
	const char *name;               /* "auth_file": the directive that asks for it */
	const char *program;            /* "postern-auth-file" */
	/* it never does without one; others are fed where the configuration names one */
	bool wants_file;
	enum sandbox_level sandbox;     /* what it may still do when it serves */
	/* answers after which a fresh process takes its place: foreign code may leak; 0: never */
	unsigned recycle_after;
	/*
	 * foreign code runs in `answer`: a process that is still in it a second after the request's
	 * deadline kills itself
	 */
	bool may_hang;
	/* Loads what libraries load at first use, while files can still be opened. */
	void (*prepare)(void);
	/*
	 * Makes what `answer` works on, of the settings and the file. Returns NULL with *why, the
	 * caller's to free, if it cannot be used. Called at the start and for each fresh file,
	 * then beside `answer`.
	 */
	void *(*load)(const struct helper_source *source, char **why);
	void (*unload)(void **loadedp);
	/*
	 * The methods that can be answered at all from what was loaded (bits of enum method); NULL:
	 * whatever the configuration says.
	 */
	unsigned (*methods)(const void *loaded);
	/* One at a time. `reply` is the caller's to reset. */
	void (*answer)(void *loaded, const struct helper_request *request, struct helper_reply *reply);
};

/*
 * The value of setting `name` in `settings`, fresh and the caller's; NULL: it is not
 * there. helper_setting_next() walks over several of one name: *at begins as `settings`.
 */
char *helper_setting(const char *settings, const char *name);
char *helper_setting_next(const char **at, const char *name);

/* The whole program. */
_Noreturn void helper_run(int argc, char **argv, const struct helper_kind *kind);

#endif

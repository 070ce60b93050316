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

struct helper_reply;
struct helper_request;

/* What a helper program is made of. */
struct helper_kind {
	const char *name;               /* "auth_file": the directive that asks for it */
	const char *program;            /* "postern-auth-file" */
	/* Loads what libraries load at first use, while files can still be opened. */
	void (*prepare)(void);
	/*
	 * Reads a file that the master has opened (by pread(2): siblings have it, too) into what
	 * `answer` works on. Returns NULL with *why, the caller's to free, if it cannot be used.
	 * `label` is the source's. Runs beside `answer`.
	 */
	void *(*load)(int fd, const char *label, char **why);
	void (*unload)(void **loadedp);
	/* `reply` is the caller's to reset. */
	void (*answer)(const void *loaded, const struct helper_request *request, struct helper_reply *reply);
};

/* The whole program. */
_Noreturn void helper_run(int argc, char **argv, const struct helper_kind *kind);

#endif

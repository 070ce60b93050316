/*
 * sandbox - after this, nobody here opens a path or runs a program
 *
 * no_new_privs and a seccomp filter that answers EACCES to whatever opens, makes or
 * changes a path, binds a socket or listens on it, makes one that is neither of IP nor
 * UNIX, runs a program, reaches into another process or deep into the kernel, or makes who
 * closes a socket wait (SO_LINGER), and kills for a system call of another architecture.
 * Descriptors are served as before, and UNIX peers can still be reached by their path.
 * Built with sanitizers, which open files when they report, it only logs. Built on: must,
 * sock's SOCK_BIND_LEN.
 */
#ifndef POSTERN_COMMON_SANDBOX_H
#define POSTERN_COMMON_SANDBOX_H

enum sandbox_level {
	SANDBOX_CLOSED,         /* all of that */
	SANDBOX_BINDING,        /* ... but IP sockets may be bound as sock_connect_from() does it */
	/* paths may be opened for reading, and any socket made: libraries look names up and load what they need */
	SANDBOX_READING,
	SANDBOX_OPEN,           /* no filter, new privileges may be had: PAM modules run programs of other rights */
};

/* Enters it for good, threads included. Returns 0, or -1 with errno. */
int sandbox_enter(enum sandbox_level level);

#endif

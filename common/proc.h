/*
 * proc - what a process makes of itself
 *
 * Built on: capability, mem.
 */
#ifndef POSTERN_COMMON_PROC_H
#define POSTERN_COMMON_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Remembers where argv and the environment lie, so that proc_title() can write over
 * them; the environment moves to the heap. Call first in main().
 */
void proc_init(int argc, char **argv);

/* Takes a variable out of the environment, whoever put it there. */
void proc_unset(const char *name);

/*
 * The absolute path of the program that was started by the name argv[0], looked for as
 * execvp(3) does; NULL if there is none. What stands there later may be another file.
 */
char *proc_program(const char *name);

/* "worker process" shows as "postern: worker process" in ps(1). */
void proc_title(const char *title);

/*
 * Becomes `uid`, `gid` with the groups of `user` and no others, for good, and then proves
 * it: every way back must fail. Only meaningful as root; anyone else must be `uid` and `gid`
 * already. But where `uid` is 0, no capability is left that is not in `kept` (common/capability).
 * Returns 0, or -1 with errno: EPERM when there is a way back or nothing may change.
 */
int proc_become(const char *user, uid_t uid, gid_t gid, uint64_t kept);

/* Closes every descriptor from `lowest` up but those listed. */
void proc_close_others(int lowest, const int *keep, size_t count);

/* Such a list while it is gathered; zeroed when it is empty. */
struct proc_keep {
	int *fds;               /* owned */
	size_t count;
};

/* Adds `fd`, unless it is -1. Its form is that of a callback; `keep` is a struct proc_keep. */
void proc_keep_add(void *keep, int fd);

/* Closes the others, and frees the list. */
void proc_keep_only(int lowest, struct proc_keep *keep);

/* Opens 0, 1 and 2 on /dev/null where they are closed, so that no socket becomes one of them. */
int proc_hold_standard(void);

/*
 * Blocks what the process handles by signalfd and returns that descriptor, or -1 with errno.
 * SIGPIPE and SIGSYS are ignored.
 */
int proc_signalfd(const int *signals, size_t count);

/* Puts every signal back to its default and unblocks all: what a child does before exec. */
void proc_default_signals(void);

/* Raises RLIMIT_NOFILE or RLIMIT_CORE to `value` where configured (>= 0). Returns 0, or -1 with errno. */
int proc_limit(int resource, long long value);

/* The name of a signal without SIG ("KILL"), for log lines; static. */
const char *proc_signal_name(int signal);

#endif

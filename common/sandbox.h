/*
 * sandbox - after this, nobody here opens a path or runs a program
 *
 * no_new_privs and a seccomp filter that answers EACCES to open, openat, openat2,
 * creat, execve, execveat, ptrace, mount and their kin, and kills for a system call of another architecture.
 * Built with sanitizers, which open files when they report, it only logs. Built on:
 * nothing.
 */
#ifndef POSTERN_COMMON_SANDBOX_H
#define POSTERN_COMMON_SANDBOX_H

/* Enters it for good, threads included. Returns 0, or -1 with errno. */
int sandbox_enter(void);

#endif

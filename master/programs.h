/*
 * programs - the files of helper programs, as they were when the master first ran them
 *
 * A package may be replaced beneath a running master, whose helpers go on with the program
 * that it has open, and so do those of later configurations: a reload changes the
 * configuration, never the program. What has not proven itself yet is opened anew each time.
 * Built on: list, mem.
 */
#ifndef POSTERN_MASTER_PROGRAMS_H
#define POSTERN_MASTER_PROGRAMS_H

struct programs;

struct programs *programs_new(void);

/* The file at `path`, or what it was when it proved itself. Returns a descriptor of the caller's, or -1 with errno. */
int programs_open(const struct programs *programs, const char *path);

/*
 * A helper that runs what `fd` is has said READY: `path` means this file from now on, unless it
 * means another already.
 */
void programs_prove(struct programs *programs, const char *path, int fd);

/* NULL is fine; leaves NULL. */
void programs_free(struct programs **programsp);

#endif

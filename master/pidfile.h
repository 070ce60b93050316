/*
 * pidfile - the number of the running master, where others find it
 *
 * The file has mode 0644 whatever the umask is, and only the master that wrote it
 * takes it away. Built on: log, num.
 */
#ifndef POSTERN_MASTER_PIDFILE_H
#define POSTERN_MASTER_PIDFILE_H

#include <sys/types.h>

/* Both log what is wrong and return -1 for it. */
int pidfile_write(const char *path, pid_t pid);
int pidfile_read(const char *path, pid_t *pid);

/*
 * Makes room for a master that follows: the file has the name PATH.oldbin then, as nginx has
 * it, and gets its own name back, whatever is there, when that master is gone. Only a regular
 * file with the number `pid` is moved, for it may be a device; if there is none, nothing is.
 * Returns 0, or -1 with the reason logged.
 */
int pidfile_step_aside(const char *path, pid_t pid);
int pidfile_step_back(const char *path, pid_t pid);

/* Removes the file that has stepped aside, under the terms of pidfile_remove(). */
void pidfile_remove_old(const char *path, pid_t pid);

/* Removes the file if the number in it is `pid`; says nothing if it is another's, or gone. */
void pidfile_remove(const char *path, pid_t pid);

#endif

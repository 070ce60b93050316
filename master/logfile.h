/*
 * logfile - opens what the error logs of a configuration write to
 *
 * Files are opened by root with mode 0644 and kept by number: reopening puts the new
 * file under the old descriptor, here and (IPC_LOGFILE) in every child. Syslog gets a
 * datagram socket a target. Built on: conf, log.
 */
#ifndef POSTERN_MASTER_LOGFILE_H
#define POSTERN_MASTER_LOGFILE_H

#include <stddef.h>
#include <sys/types.h>

struct conf;

/* Opens one file for appending, without ever waiting. Returns the descriptor, or -1 with errno. */
int logfile_open(const char *path);

/* Opens all files and syslog sockets of `conf`. Returns 0, or -1 with the reason logged, and then none is open. */
int logfile_open_all(struct conf *conf);
void logfile_close_all(struct conf *conf);

/*
 * Opens all files anew, under their old numbers, and gives them to the workers' account,
 * as nginx does. A file that cannot be opened is logged and goes on as it was.
 */
void logfile_reopen_all(const struct conf *conf);

/* Lets stderr go where the log of the process goes, if that is a file. */
void logfile_take_stderr(const struct conf *conf);

/* Calls `take` for each descriptor that these opened, and that its children keep: the files and the syslog sockets. */
void logfile_each_fd(const struct conf *conf, void (*take)(void *ctx, int fd), void *ctx);

#endif

/*
 * feed - files that change while we run
 *
 * Some files are read by children that may not open them: lists of users, keys. The
 * master opens each as root, watches it, and when it has changed hands its owner a fresh
 * descriptor to send on. inotify reports what is renamed over the file or has been
 * closed by its writer; because symbolic links may lead anywhere, and directories may be
 * replaced, every file is also looked at every two seconds, and a change that nobody
 * announced counts once it has come to rest. Bursts are told once. Of a file that has gone,
 * or cannot be opened, the last descriptor stays the last word. Built on: list, log, loop, mem.
 */
#ifndef POSTERN_MASTER_FEED_H
#define POSTERN_MASTER_FEED_H

#include "common/log.h"

struct feed;
struct feed_watch;
struct loop;

/*
 * The file has changed; if everybody may read it, that has been said. `fd` is the feed's, and
 * closed when this returns; read it by pread(2): its offset is shared.
 */
typedef void feed_callback(void *ctx, int fd);

struct feed *feed_new(struct loop *loop);

/* Every watch must be gone by then. NULL is fine; leaves NULL. */
void feed_free(struct feed **feedp);

/* Opens a regular file for reading, through symbolic links. Returns the descriptor, or -1 with the reason logged at `level`. */
int feed_open(const char *path, enum log_level level);

/*
 * Tells of every change of `path`, which is absolute and copied, from now on: an owner that
 * needs the present file opens it after this. It need not exist yet.
 */
struct feed_watch *feed_watch(struct feed *feed, const char *path, feed_callback *changed, void *ctx);

/* No callback comes any more; may be called from within one. NULL is fine; leaves NULL. */
void feed_unwatch(struct feed_watch **watchp);

#endif

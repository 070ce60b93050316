/*
 * feed - files that change while we run
 *
 * Some files are read by children that may not open them: lists of users, keys. The
 * master opens each as root, watches it, and hands its owner a snapshot to send on: of the
 * file as it is at first, and whenever it has changed. inotify reports what is renamed over
 * the file or has been closed by its writer; because symbolic links may lead anywhere, and
 * directories may be replaced, every file is also looked at every two seconds, and a change
 * that nobody announced counts once it has come to rest. Bursts are told once, and nobody
 * is told of a file that is half written. Of a file that has gone, or cannot be opened, the
 * last snapshot stays the last word. Built on: list, log, loop, mem, snapshot.
 */
#ifndef POSTERN_MASTER_FEED_H
#define POSTERN_MASTER_FEED_H

#include <stdbool.h>

#include "common/log.h"

struct feed;
struct feed_watch;
struct loop;

/*
 * What is in the file now: `fd` is a frozen memfd (memfd_view()), the feed's, and closed when
 * this returns. -1: there is something, but it cannot be had; that has been said.
 */
typedef void feed_callback(void *ctx, int fd);

struct feed *feed_new(struct loop *loop);

/* Every watch must be gone by then. NULL is fine; leaves NULL. */
void feed_free(struct feed **feedp);

/*
 * Opens a regular file for reading, through symbolic links. Returns the descriptor, or -1 with the
 * reason logged at `level`.
 */
int feed_open(const char *path, enum log_level level);

/*
 * Tells of the file `path`, which is absolute and copied, as it is now, in a later turn, and
 * of every change. It need not exist yet. That everybody may read it is said of a file
 * with secrets that has come since.
 */
struct feed_watch *feed_watch(struct feed *feed, const char *path, bool secret, feed_callback *changed, void *ctx);

/* No callback comes any more; may be called from within one. NULL is fine; leaves NULL. */
void feed_unwatch(struct feed_watch **watchp);

#endif

/*
 * snapshot - a file as it was at one moment, in memory that nobody can change
 *
 * A file that is written in place shows whoever reads it half of the new one. A snapshot
 * is a copy that was made while the file was at rest: nobody has it open for writing (as
 * far as its file system can tell), it was left alone for a moment before, and it was
 * the same file after the copying as before. It is copied by the kernel a slice at a
 * time, so that its owner can do other things in between, and none of its bytes passes
 * through the memory of this process. Built on: mem, memfd.
 */
#ifndef POSTERN_MASTER_SNAPSHOT_H
#define POSTERN_MASTER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define SNAPSHOT_MAX ((size_t)1 << 30)  /* bytes of a file */

/* What tells one state of a file from another; all zero: there was none. */
struct snapshot_stamp {
	uint64_t device, inode, size;
	int64_t modified_s, modified_ns, changed_s, changed_ns;
};

enum snapshot_progress {
	SNAPSHOT_MORE,
	SNAPSHOT_DONE,
	SNAPSHOT_CHANGED,       /* it was no moment of rest: begin again when there is one */
	SNAPSHOT_FAILED         /* with errno; EFBIG: the file is too large */
};

struct snapshot;

struct snapshot_stamp snapshot_stamp(const struct stat *st);
bool snapshot_same(const struct snapshot_stamp *a, const struct snapshot_stamp *b);

enum snapshot_rest {
	SNAPSHOT_RESTS,
	SNAPSHOT_FRESH,         /* it was changed a moment ago */
	SNAPSHOT_OPEN,          /* somebody has it open for writing */
};

/*
 * Is the file behind `fd` at rest? A writer who has written nothing for `patience_ms` is
 * no longer waited for. `st` is the file's.
 */
enum snapshot_rest snapshot_judge(int fd, const struct stat *st, uint64_t patience_ms);

/* Begins to copy; `fd`, which was opened for reading and is read by its offset, is taken over. `st` is the file's. */
struct snapshot *snapshot_new(int fd, const struct stat *st);

/* Copies on for a millisecond or two. After anything but SNAPSHOT_MORE there is nothing left to do. */
enum snapshot_progress snapshot_step(struct snapshot *snapshot);

/* After SNAPSHOT_DONE: the descriptor of the copy, which is frozen (memfd_view()); the snapshot's. */
int snapshot_fd(const struct snapshot *snapshot);

/* NULL is fine; leaves NULL. */
void snapshot_free(struct snapshot **snapshotp);

#endif

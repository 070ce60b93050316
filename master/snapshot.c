#include "master/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"

#define SLICE ((size_t)4 << 20)
#define REST_MS 50u             /* longer than the ticks by which file systems tell the time */

struct snapshot {
	int from, to;           /* owned */
	uint64_t left;          /* bytes to copy */
	struct snapshot_stamp stamp;
};

struct snapshot_stamp
snapshot_stamp(const struct stat *st)
{
	return (struct snapshot_stamp){
		.device = st->st_dev, .inode = st->st_ino, .size = (uint64_t)st->st_size,
		.modified_s = st->st_mtim.tv_sec, .modified_ns = st->st_mtim.tv_nsec,
		.changed_s = st->st_ctim.tv_sec, .changed_ns = st->st_ctim.tv_nsec,
	};
}

/* Seven numbers without padding between them. */
bool
snapshot_same(const struct snapshot_stamp *a, const struct snapshot_stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/*
 * A lease for reading is refused while the file is open for writing. It is given back at
 * once; who opens the file in between waits for that, and the signal about it is one that
 * does nothing. Where there are no leases, nobody is known to write.
 */
static bool
has_writer(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) == -1)
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == -1)
		return errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* How long the file has been left alone; a time that is yet to come says nothing. */
static uint64_t
rested_ms(const struct stat *st)
{
	struct timespec now;
	int64_t ms;

	MUST(clock_gettime(CLOCK_REALTIME, &now) == 0);
	if (now.tv_sec - st->st_ctim.tv_sec > INT32_MAX)
		return UINT64_MAX;
	ms = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000 + (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	return ms < 0 ? UINT64_MAX : (uint64_t)ms;
}

enum snapshot_rest
snapshot_judge(int fd, const struct stat *st, uint64_t patience_ms)
{
	uint64_t rested = rested_ms(st);

	if (rested < REST_MS)
		return SNAPSHOT_FRESH;
	return rested < patience_ms && has_writer(fd) ? SNAPSHOT_OPEN : SNAPSHOT_RESTS;
}

struct snapshot *
snapshot_new(int fd, const struct stat *st)
{
	struct snapshot *snapshot = mem_alloc(sizeof(*snapshot));

	*snapshot = (struct snapshot){
		.from = fd, .to = -1, .left = (uint64_t)st->st_size, .stamp = snapshot_stamp(st),
	};
	return snapshot;
}

/* Is it still what it was? Then nobody has written while it was read. */
static enum snapshot_progress
finish(struct snapshot *snapshot)
{
	struct snapshot_stamp now;
	struct stat st;

	if (fstat(snapshot->from, &st) == -1)
		return SNAPSHOT_FAILED;
	now = snapshot_stamp(&st);
	if (!snapshot_same(&now, &snapshot->stamp))
		return SNAPSHOT_CHANGED;
	return memfd_freeze(snapshot->to) == 0 ? SNAPSHOT_DONE : SNAPSHOT_FAILED;
}

enum snapshot_progress
snapshot_step(struct snapshot *snapshot)
{
	ssize_t got;

	if (snapshot->stamp.size > SNAPSHOT_MAX) {
		errno = EFBIG;
		return SNAPSHOT_FAILED;
	}
	if (snapshot->to == -1)
		snapshot->to = memfd_create("postern-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (snapshot->to == -1)
		return SNAPSHOT_FAILED;
	if (snapshot->left == 0)
		return finish(snapshot);
	got = sendfile(snapshot->to, snapshot->from, NULL, snapshot->left < SLICE ? snapshot->left : SLICE);
	if (got == -1)
		return errno == EINTR ? SNAPSHOT_MORE : SNAPSHOT_FAILED;
	if (got == 0)           /* it has been cut off */
		return SNAPSHOT_CHANGED;
	snapshot->left -= (uint64_t)got;
	return SNAPSHOT_MORE;
}

int
snapshot_fd(const struct snapshot *snapshot)
{
	return snapshot->to;
}

void
snapshot_free(struct snapshot **snapshotp)
{
	struct snapshot *snapshot = *snapshotp;

	*snapshotp = NULL;
	if (snapshot == NULL)
		return;
	close(snapshot->from);
	if (snapshot->to != -1)
		close(snapshot->to);
	mem_free(snapshot);
}

#include "worker/net/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/net/conn.h"

#define READ_MAX 65536          /* bytes of one recv(2) */
#define READS_MAX 64            /* of them, without anything coming of it */
#define GATHER (5 * WIRE_RECORD)
#define JOIN_MAX WIRE_RECORD    /* what waited for company is a ticket, not a flood */
#define OUT_MAX ((size_t)512 << 10)     /* a peer that makes us write and does not read */

/* What stands between socket and OpenSSL in the present step. */
static struct {
	struct wire *owner;     /* NULL: between two steps */
	size_t want;            /* what a recv(2) asks for */
	unsigned reads;         /* since something came of them */
	size_t in_at, in_len, out_len;
	char in[READ_MAX];
	char out[GATHER];
} step;

/* Adds to a buffer that is there only while it holds something. -1 if `limit` does not allow it. */
static int
add(struct buf **bp, const void *bytes, size_t len, size_t limit)
{
	if (*bp == NULL) {
		*bp = mem_alloc(sizeof(**bp));
		buf_init(*bp, limit);
	}
	return buf_add(*bp, bytes, len);
}

static void
drop(struct buf **bp)
{
	if (*bp == NULL)
		return;
	buf_reset(*bp);
	mem_free(*bp);
	*bp = NULL;
}

/* Takes from the front, all of it or a part. */
static void
take(struct buf **bp, size_t len)
{
	if (len < (*bp)->len)
		buf_take(*bp, len);
	else
		drop(bp);
}

void
wire_init(struct wire *w, struct conn *conn, const void *early, size_t early_len)
{
	*w = (struct wire){ .conn = conn, .readable = conn->readable };
	if (early_len > 0)
		MUST(add(&w->in, early, early_len, early_len) == 0);
}

void
wire_reset(struct wire *w)
{
	MUST(step.owner != w);
	drop(&w->in);
	drop(&w->out);
}

/* ---- reading ---- */

/* Reads from the socket. 1: something is there; 0: the end; -1: nothing now, or an error. */
static int
fill(struct wire *w)
{
	ssize_t len;

	if (w->eof || w->error != 0)
		return w->eof ? 0 : -1;
	if (!w->readable)
		return -1;
	if (++step.reads > READS_MAX) {
		w->error = EPROTO;
		return -1;
	}
	do
		len = recv(w->conn->io.fd, step.in, step.want, 0);
	while (len == -1 && errno == EINTR);
	w->eof = len == 0;
	if (len == -1 && errno != EAGAIN)
		w->error = errno;
	/* As conn has it: a short read is the last, but behind a hangup the end of file is still to be read. */
	if (len <= 0 || ((size_t)len < step.want && !w->conn->hangup && !w->conn->urgent))
		w->readable = false;
	step.in_at = 0;
	step.in_len = len > 0 ? (size_t)len : 0;
	return len > 0 ? 1 : len == 0 ? 0 : -1;
}

bool
wire_has_input(struct wire *w)
{
	return w->in != NULL || step.in_at < step.in_len || fill(w) == 1;
}

static int
on_read(BIO *bio, char *room, int size)
{
	struct wire *w = step.owner;
	size_t len = (size_t)size;
	int came;

	MUST(w != NULL && size >= 0);
	BIO_clear_retry_flags(bio);
	if (w->in != NULL) {
		len = len < w->in->len ? len : w->in->len;
		memcpy(room, buf_head(w->in), len);
		take(&w->in, len);
		return (int)len;
	}
	if (step.in_at == step.in_len && (came = fill(w)) != 1) {
		if (came == -1 && w->error == 0)
			BIO_set_retry_read(bio);
		return came;
	}
	len = len < step.in_len - step.in_at ? len : step.in_len - step.in_at;
	memcpy(room, step.in + step.in_at, len);
	step.in_at += len;
	return (int)len;
}

/* ---- writing ---- */

/* Moves what gathered behind what is kept. */
static void
keep(struct wire *w)
{
	if (step.out_len > 0 && add(&w->out, step.out, step.out_len, OUT_MAX) == -1)
		w->error = ENOBUFS;
	step.out_len = 0;
}

static int
on_write(BIO *bio, const char *bytes, int size)
{
	struct wire *w = step.owner;
	size_t len = (size_t)size;

	MUST(w != NULL && size >= 0);
	BIO_clear_retry_flags(bio);
	if (len > sizeof(step.out) - step.out_len)
		keep(w);
	if (w->error == 0 && len > sizeof(step.out) && add(&w->out, bytes, len, OUT_MAX) == -1)
		w->error = ENOBUFS;
	if (w->error != 0)
		return -1;
	if (len <= sizeof(step.out)) {
		memcpy(step.out + step.out_len, bytes, len);
		step.out_len += len;
	}
	return size;
}

/* Sends from `bytes` and returns how much went. */
static size_t
put(struct wire *w, const char *bytes, size_t len)
{
	ssize_t sent;

	if (len == 0 || !w->conn->writable || w->error != 0)
		return 0;
	do
		sent = send(w->conn->io.fd, bytes, len, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if (sent == -1 && errno != EAGAIN)
		w->error = errno;
	if (sent < (ssize_t)len)
		w->conn->writable = false;
	return sent > 0 ? (size_t)sent : 0;
}

int
wire_flush(struct wire *w)
{
	w->waits = false;
	if (w->out != NULL)
		take(&w->out, put(w, buf_head(w->out), w->out->len));
	errno = w->error;
	return w->error != 0 ? -1 : w->out == NULL;
}

bool
wire_has_room(const struct wire *w)
{
	return w->error == 0 && sizeof(step.out) - step.out_len >= WIRE_RECORD;
}

void
wire_join(struct wire *w)
{
	if (!w->waits || w->out->len > JOIN_MAX || step.out_len > 0)
		return;
	memcpy(step.out, buf_head(w->out), w->out->len);
	step.out_len = w->out->len;
	drop(&w->out);
	w->waits = false;
}

/* ---- steps ---- */

void
wire_begin(struct wire *w, size_t want)
{
	size_t least = WIRE_RECORD;

	MUST(step.owner == NULL);
	step.owner = w;
	step.in_at = step.in_len = step.out_len = 0;
	step.want = want < least ? least : want > READ_MAX ? READ_MAX : want;
	step.reads = 0;
}

void
wire_came(void)
{
	step.reads = 0;
}

static void
leave(struct wire *w)
{
	MUST(step.owner == w);
	step.owner = NULL;
	/* Only what stood in `in` before is read before this, so `in` is empty where something is left. */
	if (step.in_at < step.in_len)
		MUST(add(&w->in, step.in + step.in_at, step.in_len - step.in_at, READ_MAX) == 0);
}

int
wire_end(struct wire *w)
{
	size_t sent;

	leave(w);
	if (w->out != NULL) {
		keep(w);
		return wire_flush(w);
	}
	sent = put(w, step.out, step.out_len);
	if (sent < step.out_len && w->error == 0)
		MUST(add(&w->out, step.out + sent, step.out_len - sent, OUT_MAX) == 0);
	step.out_len = 0;
	errno = w->error;
	return w->error != 0 ? -1 : w->out == NULL;
}

void
wire_hold(struct wire *w)
{
	leave(w);
	keep(w);
	w->waits = w->out != NULL;
}

/* ---- the BIO ---- */

static long
on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_EOF:
		return step.owner != NULL && step.owner->eof;
	case BIO_CTRL_FLUSH:    /* at the end of the step */
		return 1;
	default:
		return 0;
	}
}

static BIO *
make(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
	BIO *bio;

	MUST(method != NULL && BIO_meth_set_read(method, on_read) == 1 && BIO_meth_set_write(method, on_write) == 1 &&
	    BIO_meth_set_ctrl(method, on_control) == 1);
	bio = BIO_new(method);
	MUST(bio != NULL);
	BIO_set_init(bio, 1);
	return bio;
}

/*
 * That it is shared OpenSSL does not notice: it counts references, what it keeps in a BIO
 * (whether to try again) it asks for at once, and what it puts before ours during a
 * handshake it finds by its own pointers. It saves 200 bytes an idle connection.
 */
BIO *
wire_bio(void)
{
	static BIO *shared;     /* for the life of the process */

	if (shared == NULL)
		shared = make();
	MUST(BIO_up_ref(shared) == 1);
	return shared;
}

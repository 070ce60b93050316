#include "worker/net/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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
	size_t in_at, in_len, out_len;
	char in[READ_MAX];
	char out[GATHER];
} step;

void
wire_init(struct wire *w, struct conn *conn, const void *early, size_t early_len)
{
	*w = (struct wire){ .conn = conn, .readable = conn->readable };
	buf_init(&w->in, READ_MAX + early_len);
	buf_init(&w->out, OUT_MAX);
	MUST(early_len == 0 || buf_add(&w->in, early, early_len) == 0);
}

void
wire_reset(struct wire *w)
{
	MUST(step.owner != w);
	buf_reset(&w->in);
	buf_reset(&w->out);
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
	if (++w->reads > READS_MAX) {
		w->error = EPROTO;
		return -1;
	}
	do
		len = recv(w->conn->io.fd, step.in, w->want, 0);
	while (len == -1 && errno == EINTR);
	w->eof = len == 0;
	if (len == -1 && errno != EAGAIN)
		w->error = errno;
	/* As conn has it: a short read is the last, but behind a hangup the end of file is still to be read. */
	if (len <= 0 || ((size_t)len < w->want && !w->conn->hangup))
		w->readable = false;
	step.in_at = 0;
	step.in_len = len > 0 ? (size_t)len : 0;
	return len > 0 ? 1 : len == 0 ? 0 : -1;
}

bool
wire_has_input(struct wire *w)
{
	return w->in.len > 0 || step.in_at < step.in_len || fill(w) == 1;
}

static int
on_read(BIO *bio, char *room, int size)
{
	struct wire *w = BIO_get_data(bio);
	size_t len = (size_t)size;
	int came;

	MUST(step.owner == w && size >= 0);
	BIO_clear_retry_flags(bio);
	if (w->in.len > 0) {
		len = len < w->in.len ? len : w->in.len;
		memcpy(room, buf_head(&w->in), len);
		buf_take(&w->in, len);
		if (w->in.len == 0)
			buf_reset(&w->in);
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
	if (step.out_len > 0 && buf_add(&w->out, step.out, step.out_len) == -1)
		w->error = ENOBUFS;
	step.out_len = 0;
}

static int
on_write(BIO *bio, const char *bytes, int size)
{
	struct wire *w = BIO_get_data(bio);
	size_t len = (size_t)size;

	MUST(step.owner == w && size >= 0);
	BIO_clear_retry_flags(bio);
	if (len > sizeof(step.out) - step.out_len)
		keep(w);
	if (w->error == 0 && len > sizeof(step.out) && buf_add(&w->out, bytes, len) == -1)
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
	if (w->out.len > 0)
		buf_take(&w->out, put(w, buf_head(&w->out), w->out.len));
	if (w->error != 0) {
		errno = w->error;
		return -1;
	}
	if (w->out.len > 0)
		return 0;
	if (w->out.block != NULL)
		buf_reset(&w->out);
	return 1;
}

bool
wire_has_room(const struct wire *w)
{
	return w->error == 0 && sizeof(step.out) - step.out_len >= WIRE_RECORD;
}

void
wire_join(struct wire *w)
{
	if (!w->waits || w->out.len > JOIN_MAX || step.out_len > 0)
		return;
	memcpy(step.out, buf_head(&w->out), w->out.len);
	step.out_len = w->out.len;
	buf_reset(&w->out);
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
	w->want = want < least ? least : want > READ_MAX ? READ_MAX : want;
	w->reads = 0;
}

static void
leave(struct wire *w)
{
	MUST(step.owner == w);
	step.owner = NULL;
	/* Only what stood in `in` before is read before this, so `in` is empty where something is left. */
	if (step.in_at < step.in_len)
		MUST(buf_add(&w->in, step.in + step.in_at, step.in_len - step.in_at) == 0);
}

int
wire_end(struct wire *w)
{
	size_t sent;

	leave(w);
	if (w->out.len > 0) {
		keep(w);
		return wire_flush(w);
	}
	sent = put(w, step.out, step.out_len);
	if (sent < step.out_len && w->error == 0)
		MUST(buf_add(&w->out, step.out + sent, step.out_len - sent) == 0);
	step.out_len = 0;
	errno = w->error;
	return w->error != 0 ? -1 : w->out.len == 0;
}

void
wire_hold(struct wire *w)
{
	leave(w);
	keep(w);
	w->waits = w->out.len > 0;
}

/* ---- the BIO ---- */

static long
on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_EOF:
		return ((struct wire *)BIO_get_data(bio))->eof;
	case BIO_CTRL_FLUSH:    /* at the end of the step */
		return 1;
	default:
		return 0;
	}
}

static BIO_METHOD *
method(void)
{
	static BIO_METHOD *made;        /* for the life of the process */

	if (made != NULL)
		return made;
	made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
	MUST(made != NULL && BIO_meth_set_read(made, on_read) == 1 && BIO_meth_set_write(made, on_write) == 1 &&
	    BIO_meth_set_ctrl(made, on_control) == 1);
	return made;
}

BIO *
wire_bio(struct wire *w)
{
	BIO *bio = BIO_new(method());

	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, w);
	BIO_set_init(bio, 1);
	return bio;
}

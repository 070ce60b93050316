#include "master/heritage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bequest.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"
#include "common/num.h"
#include "common/proc.h"

#define VARIABLE "POSTERN_HERITAGE"
#define MAGIC UINT64_C(0x31746972656874)        /* "therit1" */
#define LAYOUT 2u                               /* counts changes of all that stands behind the sockets */
#define FIRST_FD 3
#define BYTES_MAX (sizeof(struct head) + HERITAGE_SOCKETS_MAX * sizeof(struct socket_row) + sizeof(struct body) + \
    BEQUEST_MAX * sizeof(struct zone_row))

/* What every version writes first, and behind it a row a socket. */
struct head {
	uint64_t magic;
	uint32_t layout;
	uint32_t parent;
	uint32_t others, ours[2];
	uint32_t socket_count;
};

struct socket_row {
	uint32_t fd;
	uint32_t lent;
};

/* What this version writes behind those, and then a row a zone. */
struct body {
	uint64_t half;
	uint64_t tickets_due_ms;
	struct tlsticket_keys tickets;
	uint32_t has_tickets;
	uint32_t zone_count;
	char pid_path[HERITAGE_PATH];
};

struct zone_row {
	uint64_t bytes, parameters;
	uint32_t fd, entry_bytes, key_bytes, secret_len;
	char kind[BEQUEST_KIND], name[BEQUEST_NAME];
	unsigned char secret[BEQUEST_SECRET];
};

_Static_assert(sizeof(struct head) == 32 && sizeof(struct socket_row) == 8, "never to be changed");
_Static_assert(sizeof(struct body) == 24 + sizeof(struct tlsticket_keys) + HERITAGE_PATH, "no padding");
_Static_assert(sizeof(struct zone_row) == 32 + BEQUEST_KIND + BEQUEST_NAME + BEQUEST_SECRET, "no padding");

struct heritage *
heritage_new(void)
{
	struct heritage *h = mem_alloc(sizeof(*h));

	h->others = h->ours[0] = h->ours[1] = -1;
	h->zones = bequest_new(false);
	return h;
}

void
heritage_free(struct heritage **heritagep)
{
	struct heritage *h = *heritagep;

	if (h == NULL)
		return;
	bequest_free(&h->zones);
	mem_free(h->sockets);
	mem_wipe(h, sizeof(*h));
	mem_free(h);
	*heritagep = NULL;
}

void
heritage_add_socket(struct heritage *h, int fd, bool lent)
{
	MUST(h->socket_count < HERITAGE_SOCKETS_MAX);
	h->sockets = mem_resize(h->sockets, (h->socket_count + 1) * sizeof(*h->sockets));
	h->sockets[h->socket_count++] = (struct heritage_socket){ fd, lent };
}

/* --- writing --- */

size_t
heritage_size(const struct heritage *h)
{
	return sizeof(struct head) + h->socket_count * sizeof(struct socket_row) + sizeof(struct body) +
	    h->zones->count * sizeof(struct zone_row);
}

static unsigned char *
put(unsigned char *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static unsigned char *
put_zone(unsigned char *at, const struct bequest_zone *zone)
{
	struct zone_row row = {
		.bytes = zone->bytes, .parameters = zone->parameters, .fd = (uint32_t)zone->fd,
		.entry_bytes = zone->entry_bytes, .key_bytes = zone->key_bytes, .secret_len = zone->secret_len,
	};

	memcpy(row.kind, zone->kind, sizeof(row.kind));
	memcpy(row.name, zone->name, sizeof(row.name));
	memcpy(row.secret, zone->secret, sizeof(row.secret));
	at = put(at, &row, sizeof(row));
	mem_wipe(row.secret, sizeof(row.secret));
	return at;
}

static unsigned char *
put_body(unsigned char *at, const struct heritage *h)
{
	struct body body = {
		.half = h->half, .tickets_due_ms = h->tickets_due_ms,
		.tickets = h->tickets, .has_tickets = h->has_tickets, .zone_count = (uint32_t)h->zones->count,
	};

	strcpy(body.pid_path, h->pid_path);
	at = put(at, &body, sizeof(body));
	mem_wipe(&body, sizeof(body));
	return at;
}

size_t
heritage_write(const struct heritage *h, void *bytes, size_t room)
{
	struct head head = {
		.magic = MAGIC, .layout = LAYOUT, .parent = (uint32_t)h->parent, .others = (uint32_t)h->others,
		.ours = { (uint32_t)h->ours[0], (uint32_t)h->ours[1] }, .socket_count = (uint32_t)h->socket_count,
	};
	unsigned char *at = bytes;

	MUST(room >= heritage_size(h));
	at = put(at, &head, sizeof(head));
	for (size_t i = 0; i < h->socket_count; i++) {
		struct socket_row row = { (uint32_t)h->sockets[i].fd, h->sockets[i].lent };

		at = put(at, &row, sizeof(row));
	}
	at = put_body(at, h);
	for (size_t i = 0; i < h->zones->count; i++)
		at = put_zone(at, &h->zones->zones[i]);
	return (size_t)(at - (unsigned char *)bytes);
}

/* --- reading --- */

/* What is left to read. */
struct rest {
	const unsigned char *at;
	size_t len;
};

static bool
get(struct rest *rest, void *out, size_t len)
{
	if (rest->len < len)
		return false;
	memcpy(out, rest->at, len);
	rest->at += len;
	rest->len -= len;
	return true;
}

/* A descriptor that may be handed on; the first three are everybody's. */
static bool
get_fd(uint32_t value, int *fd)
{
	if (value < FIRST_FD || value > INT_MAX)
		return false;
	*fd = (int)value;
	return true;
}

static bool
get_head(struct heritage *h, struct rest *rest, uint32_t *layout)
{
	struct head head;

	if (!get(rest, &head, sizeof(head)) || head.magic != MAGIC)
		return false;
	if (head.parent == 0 || head.parent > INT_MAX || head.socket_count > HERITAGE_SOCKETS_MAX)
		return false;
	h->parent = (pid_t)head.parent;
	*layout = head.layout;
	if (!get_fd(head.others, &h->others) || !get_fd(head.ours[0], &h->ours[0]) ||
	    !get_fd(head.ours[1], &h->ours[1]))
		return false;
	for (uint32_t i = 0; i < head.socket_count; i++) {
		struct socket_row row;
		int fd;

		if (!get(rest, &row, sizeof(row)) || !get_fd(row.fd, &fd) || row.lent > 1)
			return false;
		heritage_add_socket(h, fd, row.lent == 1);
	}
	return true;
}

static bool
is_string(const char *bytes, size_t size)
{
	return *bytes != '\0' && memchr(bytes, '\0', size) != NULL;
}

static bool
get_zone(struct heritage *h, struct rest *rest)
{
	struct bequest_zone zone = { 0 };
	struct zone_row row;
	bool good = get(rest, &row, sizeof(row)) && get_fd(row.fd, &zone.fd) && row.secret_len <= sizeof(row.secret) &&
	    is_string(row.kind, sizeof(row.kind)) && is_string(row.name, sizeof(row.name)) && row.bytes <= SIZE_MAX;

	if (good) {
		zone.bytes = row.bytes;
		zone.parameters = row.parameters;
		zone.entry_bytes = row.entry_bytes;
		zone.key_bytes = row.key_bytes;
		zone.secret_len = row.secret_len;
		strcpy(zone.kind, row.kind);
		strcpy(zone.name, row.name);
		memcpy(zone.secret, row.secret, row.secret_len);
		bequest_add(h->zones, &zone);
	}
	mem_wipe(row.secret, sizeof(row.secret));
	mem_wipe(zone.secret, sizeof(zone.secret));
	return good;
}

static bool
get_body(struct heritage *h, struct rest *rest)
{
	struct body body = { 0 };
	bool good = get(rest, &body, sizeof(body)) && body.half <= 1 && body.has_tickets <= 1 &&
	    memchr(body.pid_path, '\0', sizeof(body.pid_path)) != NULL &&
	    body.zone_count <= BEQUEST_MAX && rest->len == body.zone_count * sizeof(struct zone_row);

	for (uint32_t i = 0; good && i < body.zone_count; i++)
		good = get_zone(h, rest);
	if (good) {
		h->whole = true;
		h->half = (unsigned)body.half;
		h->has_tickets = body.has_tickets == 1;
		h->tickets = body.tickets;
		h->tickets_due_ms = body.tickets_due_ms;
		strcpy(h->pid_path, body.pid_path);
	}
	mem_wipe(&body, sizeof(body));
	return good;
}

void
heritage_each_own_fd(const struct heritage *h, void (*visit)(void *ctx, int fd), void *ctx)
{
	visit(ctx, h->others);
	visit(ctx, h->ours[0]);
	visit(ctx, h->ours[1]);
	for (size_t i = 0; i < h->zones->count; i++)
		visit(ctx, h->zones->zones[i].fd);
}

static void
each_fd(const struct heritage *h, void (*visit)(void *ctx, int fd), void *ctx)
{
	heritage_each_own_fd(h, visit, ctx);
	for (size_t i = 0; i < h->socket_count; i++)
		visit(ctx, h->sockets[i].fd);
}

struct numbers {
	int *fds;
	size_t count;
};

static void
note(void *ctx, int fd)
{
	struct numbers *numbers = ctx;

	numbers->fds[numbers->count++] = fd;
}

static int
compare(const void *a, const void *b)
{
	int left = *(const int *)a, right = *(const int *)b;

	return (left > right) - (left < right);
}

/* Whose descriptor it is must be clear. */
static bool
names_none_twice(const struct heritage *h)
{
	struct numbers numbers = { .fds = mem_array(3 + h->socket_count + h->zones->count, sizeof(int)) };
	bool good = true;

	each_fd(h, note, &numbers);
	qsort(numbers.fds, numbers.count, sizeof(int), compare);
	for (size_t i = 1; i < numbers.count; i++)
		if (numbers.fds[i] == numbers.fds[i - 1])
			good = false;
	mem_free(numbers.fds);
	return good;
}

/* Leaves the sockets alone. */
static void
forget_rest(struct heritage *h)
{
	bequest_free(&h->zones);
	h->zones = bequest_new(false);
	h->whole = false;
	h->half = 0;
	h->has_tickets = false;
	*h->pid_path = '\0';
	mem_wipe(&h->tickets, sizeof(h->tickets));
}

struct heritage *
heritage_read(const void *bytes, size_t len)
{
	struct rest rest = { bytes, len };
	struct heritage *h = heritage_new();
	uint32_t layout;

	if (!get_head(h, &rest, &layout)) {
		heritage_free(&h);
		return NULL;
	}
	if (layout != LAYOUT || !get_body(h, &rest) || !names_none_twice(h))
		forget_rest(h);
	if (!names_none_twice(h))
		heritage_free(&h);
	return h;
}

/* --- over exec --- */

int
heritage_pack(const struct heritage *h)
{
	size_t size = heritage_size(h);
	int fd = memfd_new("postern-heritage", size), error;
	void *map;

	if (fd == -1)
		return -1;
	if ((map = memfd_map(fd, size)) != NULL) {
		heritage_write(h, map, size);
		munmap(map, size);
		return fd;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
let_pass(void *ctx, int fd)
{
	if (fcntl(fd, F_SETFD, 0) == -1)
		*(int *)ctx = -1;
}

int
heritage_release(const struct heritage *h, int fd)
{
	char number[16];
	int result = 0;

	each_fd(h, let_pass, &result);
	let_pass(&result, fd);
	snprintf(number, sizeof(number), "%d", fd);
	return result == 0 ? setenv(VARIABLE, number, 1) : -1;
}

static struct heritage *
refuse(const char *why)
{
	log_say(LOG_WARN, "nothing is taken over from a master before this one: " VARIABLE " %s", why);
	return NULL;
}

/* Reads the table once, for it may change under our eyes, and leaves zeros behind. */
static struct heritage *
unpack(int fd)
{
	struct heritage *h;
	struct stat st;
	void *map, *copy;
	size_t size;

	if (fstat(fd, &st) == -1 || st.st_size <= 0 || (size_t)st.st_size > BYTES_MAX)
		return refuse("is no table");
	size = (size_t)st.st_size;
	if ((map = memfd_map(fd, size)) == NULL)
		return refuse("is no sealed table");
	copy = mem_dup(map, size);
	mem_wipe(map, size);
	munmap(map, size);
	h = heritage_read(copy, size);
	mem_wipe(copy, size);
	mem_free(copy);
	return h != NULL ? h : refuse("makes no sense");
}

static void
keep_to_ourselves(void *ctx, int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		*(bool *)ctx = false;
}

static bool
all_are_open(const struct heritage *h)
{
	bool open = true;

	each_fd(h, keep_to_ourselves, &open);
	return open;
}

static bool
is_pipe(int fd, int mode)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_ACCMODE) == mode && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* What is named must be there, or its number would soon be that of something else. */
static struct heritage *
check(struct heritage *h)
{
	if (!all_are_open(h))
		forget_rest(h);
	if (all_are_open(h) && is_pipe(h->others, O_RDONLY) && is_pipe(h->ours[0], O_RDONLY) &&
	    is_pipe(h->ours[1], O_WRONLY)) {
		h->zones->taken = true;
		if (!h->whole)
			log_say(LOG_NOTICE, "the master before is of another version, nothing but its sockets is taken "
			    "over");
		return h;
	}
	heritage_free(&h);
	return refuse("names what is not there");
}

struct heritage *
heritage_take(void)
{
	const char *text = getenv(VARIABLE);
	struct heritage *h;
	unsigned fd;
	bool good;

	if (text == NULL)
		return NULL;
	good = num_parse(text, INT_MAX, &fd) == 0 && fd >= FIRST_FD;
	proc_unset(VARIABLE);
	if (!good)
		return refuse("is not a descriptor");
	h = unpack((int)fd);
	close((int)fd);
	return h == NULL ? NULL : check(h);
}

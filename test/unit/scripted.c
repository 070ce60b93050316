#include "test/unit/scripted.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/list.h"
#include "common/mem.h"
#include "worker/net/conn.h"

struct scripted {
	struct loop *loop;
	const struct scripted_step *steps;
	size_t count;
	struct loop_io io;
	struct endpoint at;
	const struct conf_tls *tls;
	struct list guests;
	unsigned connections, requests, open;
	char *request;
};

struct guest {
	struct list node;
	struct scripted *server;
	struct conn conn;
	struct buf in;
	const struct scripted_step *step;       /* half played */
	struct loop_task rest;
};

static void
guest_close(struct guest *guest)
{
	loop_drop(&guest->rest);
	conn_close(&guest->conn, guest->server->loop);
	list_remove(&guest->node);
	buf_reset(&guest->in);
	guest->server->open--;
	mem_free(guest);
}

static void
say(struct guest *guest, const char *text, size_t len)
{
	ck_assert_int_eq(conn_send(&guest->conn, text, len), (ssize_t)len);
}

static void
play_rest(struct loop_task *task)
{
	struct guest *guest = LIST_ENTRY(task, struct guest, rest);
	const struct scripted_step *step = guest->step;

	say(guest, step->reply + step->cut, strlen(step->reply) - step->cut);
	if (step->close)
		guest_close(guest);
}

static void
play(struct guest *guest, const struct scripted_step *step)
{
	guest->step = step;
	if (step->reply != NULL)
		say(guest, step->reply, step->cut > 0 ? step->cut : strlen(step->reply));
	if (step->cut > 0)
		loop_again(guest->server->loop, &guest->rest);
	else if (step->close)
		guest_close(guest);
}

static void
take_request(struct guest *guest, size_t len)
{
	struct scripted *server = guest->server;
	size_t step = server->requests < server->count ? server->requests : server->count - 1;

	server->requests++;
	mem_free(server->request);
	server->request = mem_strndup(buf_head(&guest->in), len);
	buf_take(&guest->in, len);
	play(guest, &server->steps[step]);
}

/* The length of the first request, body included; 0 if its end is not there. */
static size_t
request_len(const struct buf *in)
{
	static const char field[] = "Content-Length: ";
	const char *head = buf_head(in), *end = memmem(head, in->len, "\r\n\r\n", 4), *found;
	size_t len;

	if (end == NULL)
		return 0;
	len = (size_t)(end + 4 - head);
	if ((found = memmem(head, len, field, strlen(field))) != NULL)
		len += strtoul(found + strlen(field), NULL, 10);
	return len <= in->len ? len : 0;
}

/* False when it has left. */
static bool
hear(struct guest *guest)
{
	ssize_t len = conn_recv(&guest->conn, buf_room(&guest->in, 4096), 4096);

	if (len == -1 && errno == EAGAIN)
		return true;
	if (len <= 0) {
		guest_close(guest);
		return false;
	}
	buf_added(&guest->in, (size_t)len);
	if (request_len(&guest->in) == 0)
		return true;
	/* What it plays may end with the guest's leave. */
	take_request(guest, request_len(&guest->in));
	return false;
}

static void
on_guest(struct loop_io *io, uint32_t events)
{
	struct guest *guest = LIST_ENTRY(io, struct guest, conn.io);

	conn_events(&guest->conn, events);
	if (guest->server->tls != NULL && !conn_is_secure(&guest->conn)) {
		enum conn_handshake hands = conn_handshake(&guest->conn);

		if (hands == HANDSHAKE_FAILED)
			guest_close(guest);
		if (hands != HANDSHAKE_DONE)
			return;
		conn_flush(&guest->conn);
	}
	while (guest->conn.readable && hear(guest))
		;
}

static void
on_connection(struct loop_io *io, uint32_t events)
{
	struct scripted *server = LIST_ENTRY(io, struct scripted, io);
	struct guest *guest = mem_alloc(sizeof(*guest));

	(void)events;
	guest->server = server;
	guest->rest.run = play_rest;
	buf_init(&guest->in, 1 << 20);
	list_add(&server->guests, &guest->node);
	ck_assert_int_eq(
	    conn_open(&guest->conn, server->loop, accept4(io->fd, NULL, NULL, SOCK_NONBLOCK), false, on_guest), 0);
	if (server->tls != NULL)
		conn_secure_server(&guest->conn, server->tls, NULL, NULL, NULL, 0);
	server->connections++;
	server->open++;
}

static int
listen_anywhere(struct endpoint *at)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Inherited by what is accepted: the second piece of a cut reply is not to wait for an ACK of the first. */
	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
	*at = (struct endpoint){ .addr = { .ip = { 127, 0, 0, 1 }, .family = AF_INET } };
	len = endpoint_sockaddr(at, &sa);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&at->addr, &sa);
	return fd;
}

struct scripted *
scripted_new(struct loop *loop, const struct scripted_step *steps, size_t count)
{
	struct scripted *server = mem_alloc(sizeof(*server));

	*server = (struct scripted){ .loop = loop, .steps = steps, .count = count, .io.on_events = on_connection };
	list_init(&server->guests);
	server->io.fd = listen_anywhere(&server->at);
	ck_assert_int_eq(loop_watch(loop, &server->io, EPOLLIN), 0);
	return server;
}

void
scripted_hang_up(struct scripted *server)
{
	LIST_EACH(node, &server->guests)
		guest_close(LIST_ENTRY(node, struct guest, node));
}

void
scripted_free(struct scripted **serverp)
{
	struct scripted *server = *serverp;

	scripted_hang_up(server);
	loop_close(server->loop, &server->io);
	mem_free(server->request);
	mem_free(server);
	*serverp = NULL;
}

void
scripted_secure(struct scripted *server, const struct conf_tls *tls)
{
	server->tls = tls;
}

const struct endpoint *
scripted_at(const struct scripted *server)
{
	return &server->at;
}

unsigned
scripted_connections(const struct scripted *server)
{
	return server->connections;
}

unsigned
scripted_requests(const struct scripted *server)
{
	return server->requests;
}

const char *
scripted_request(const struct scripted *server)
{
	return server->request == NULL ? "" : server->request;
}

unsigned
scripted_open(const struct scripted *server)
{
	return server->open;
}

void
scripted_say(struct scripted *server, const char *text)
{
	LIST_EACH(node, &server->guests)
		say(LIST_ENTRY(node, struct guest, node), text, strlen(text));
}

#include "worker/net/http_link.h"

#include <errno.h>

#include "common/mem.h"
#include "common/sock.h"

#define BODY_MAX 65536          /* bytes skipped for the sake of a connection; making a new one costs less than more */
#define BODY_MS 5000            /* and the time that its server may take over them */
#define READ_SIZE 4096          /* an answer fits, so that the read is short and the last */

static void on_events(struct loop_io *io, uint32_t events);
static void on_time(struct loop_timer *timer);

static void
link_bury(struct loop_task *task)
{
	struct http_link *link = LIST_ENTRY(task, struct http_link, burial);

	endpoint_reset(&link->peer);
	buf_reset(&link->content);
	mem_free(link->reason);
	mem_free(link);
}

void
http_link_close(struct http_link *link)
{
	struct http_client *client = link->client;

	if (link->state == LINK_IDLE)
		client->idle_count--;
	if (link->spare)
		client->spare_count--;
	link->spare = false;
	link->state = LINK_REST;        /* which nothing will happen to any more */
	list_remove(&link->node);
	loop_timer_stop(&link->timer);
	conn_close(&link->conn, client->loop);
	buf_reset(&link->in);
	loop_bury(client->loop, &link->burial);
}

/* Has nothing come that belongs to no answer? Of TLS something may, such as a ticket: one has to look. */
static bool
is_silent(struct http_link *link)
{
	char byte;

	if (!link->conn.readable)
		return true;
	return conn_is_secure(&link->conn) && conn_recv(&link->conn, &byte, 1) == -1 && errno == EAGAIN;
}

/* Puts it into the pool. Bytes that may still be there would be taken for the answer to the next request. */
static void
link_keep(struct http_link *link)
{
	struct http_client *client = link->client;

	if (link->in.len > 0 || !is_silent(link)) {
		http_link_close(link);
		return;
	}
	buf_reset(&link->in);
	link->state = LINK_IDLE;
	list_remove(&link->node);
	list_add(&client->idle, &link->node);
	loop_timer_set(client->loop, &link->timer, client->keep.idle_ms);
	if (++client->idle_count > client->keep.connections)
		http_link_close(LIST_ENTRY(client->idle.next, struct http_link, node));
}

static void
call_end(struct http_call *call, const struct http_result *result)
{
	call->link->call = NULL;
	call->link = NULL;
	call->on_end(call->ctx, result);
}

/* Ends a call that got no answer, and its connection. */
static void
link_fail(struct http_link *link, enum http_outcome outcome, int error)
{
	struct http_result result = {
		.outcome = outcome, .peer = &link->peer, .head = &link->head, .error = error, .reason = link->reason,
	};

	http_link_close(link);
	call_end(link->call, &result);
}

static int
link_open(struct http_link *link)
{
	struct http_client *client = link->client;
	bool pending;
	int fd;

	endpoint_reset(&link->peer);
	endpoint_copy(&link->peer, &client->addresses[link->which]);
	if ((fd = sock_connect(&link->peer, &pending)) == -1)
		return -1;
	return conn_open(&link->conn, client->loop, fd, pending, on_events);
}

static void link_connected(struct http_link *link);

/* Sets the timer to `in_ms`, or to the call's deadline if that is earlier. */
static void
set_timer(struct http_link *link, uint64_t in_ms)
{
	struct loop *loop = link->client->loop;
	uint64_t now_ms = loop_now_ms(loop), deadline_ms = link->call->deadline_ms;

	if (deadline_ms != 0 && deadline_ms < now_ms + in_ms)
		in_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	loop_timer_set(loop, &link->timer, in_ms);
}

static void
share_time(struct http_link *link)
{
	set_timer(link, link->call->limit_ms / link->client->address_count + 1);
}

/* Turns to the next address, which gets its share of the time; `error` is what the last one said. */
static void
link_connect(struct http_link *link, int error)
{
	struct http_client *client = link->client;
	struct http_call *call = link->call;

	conn_close(&link->conn, client->loop);
	loop_timer_stop(&link->timer);
	link->state = LINK_CONNECTING;
	while (call->tried < client->address_count) {
		link->which = (client->preferred + call->tried++) % client->address_count;
		if (link_open(link) == -1) {
			error = errno;
		} else if (link->conn.connecting) {
			share_time(link);
			return;
		} else {
			link_connected(link);
			return;
		}
	}
	if (error == EPROTO && link->reason != NULL)
		link_fail(link, HTTP_INSECURE, error);
	else
		link_fail(link, error == ETIMEDOUT ? HTTP_TIMED_OUT : HTTP_UNREACHABLE, error);
}

/* The connection is gone. That is no news where it may have been gone before we asked. */
static void
link_lost(struct http_link *link)
{
	if (!link->kept) {
		link_fail(link, HTTP_CLOSED, 0);
		return;
	}
	link->kept = false;
	link->call->tried = 0;
	link_connect(link, 0);
}

/* Sends what it can. */
static void
link_send(struct http_link *link)
{
	const struct buf *request = link->call->request;

	while (link->sent < request->len && link->conn.writable) {
		ssize_t len = conn_send(&link->conn, buf_head(request) + link->sent, request->len - link->sent);

		if (len > 0) {
			link->sent += (size_t)len;
		} else if (len == -1 && errno != EAGAIN) {
			link_lost(link);
			return;
		}
	}
	if (link->sent < request->len)
		return;
	link->state = LINK_HEAD;
	set_timer(link, link->call->limit_ms);
}

/* Begins to send. The request nearly always leaves in one piece, and then one timer is enough. */
static void
link_request(struct http_link *link)
{
	link->state = LINK_SENDING;
	link->sent = 0;
	buf_reset(&link->in);
	buf_init(&link->in, link->call->head_max);
	buf_reset(&link->content);
	buf_init(&link->content, link->call->body_max);
	link_send(link);
	if (link->state == LINK_SENDING)
		set_timer(link, link->call->limit_ms);
}

static void
link_usable(struct http_link *link)
{
	if (link->which < link->client->address_count)
		link->client->preferred = link->which;
	link_request(link);
}

/* What the server's certificate has to name, unless the settings say otherwise. */
static const char *
server_name(const struct http_link *link, char room[ADDR_TEXT])
{
	if (link->client->server->host != NULL)
		return link->client->server->host;
	return link->peer.addr.family == AF_UNIX ? "localhost" : addr_format(room, &link->peer.addr);
}

static void
link_secure(struct http_link *link)
{
	switch (conn_handshake(&link->conn)) {
	case HANDSHAKE_DONE:
		link_usable(link);
		break;
	case HANDSHAKE_MORE:
		break;
	case HANDSHAKE_FAILED:
		mem_free(link->reason);
		link->reason = mem_strdup(conn_tls_error(&link->conn));
		link_connect(link, EPROTO);
		break;
	}
}

static void
link_connected(struct http_link *link)
{
	const struct conf_tls *tls = link->call->tls;
	char room[ADDR_TEXT];

	if (tls == NULL) {
		link_usable(link);
		return;
	}
	link->state = LINK_SECURING;
	if (!loop_timer_is_set(&link->timer))
		share_time(link);
	conn_secure_client(&link->conn, tls, tls->name != NULL ? tls->name : server_name(link, room), "http/1.1");
	link_secure(link);
}

/* Reads once, if that is worth it. Returns 1 when bytes came, 0 when none are there, -1 when none will come. */
static int
link_read(struct http_link *link)
{
	size_t size = buf_left(&link->in) < READ_SIZE ? buf_left(&link->in) : READ_SIZE;
	ssize_t len;

	if (!link->conn.readable)
		return 0;
	len = conn_recv(&link->conn, buf_room(&link->in, size), size);
	if (len <= 0)
		return len == -1 && errno == EAGAIN ? 0 : -1;
	buf_added(&link->in, (size_t)len);
	return 1;
}

/* Takes the body off, as far as it is there. */
static void
link_skip(struct http_link *link)
{
	enum http_verdict verdict;
	int came = 1;

	do {
		link->skipped += link->in.len;
		verdict = http_take_body(&link->in, &link->head, &link->body, NULL);
		link->skipped -= link->in.len;
	} while (verdict == HTTP_MORE && link->skipped <= BODY_MAX && (came = link_read(link)) == 1);
	if (verdict == HTTP_DONE)
		link_keep(link);
	else if (verdict == HTTP_BAD || link->skipped > BODY_MAX || came == -1)
		http_link_close(link);
}

/* Is it worth being kept, behind this answer? */
static bool
may_be_kept(const struct http_link *link)
{
	const struct http_keep *keep = &link->client->keep;

	return link->head.keep_alive && link->head.body_len <= BODY_MAX &&
	    keep->connections > 0 && link->answers < keep->requests;
}

/* What the call wants has come. The connection is seen to first, so that the asker's next call finds it in the pool. */
static void
link_answered(struct http_link *link)
{
	struct http_result result = {
		.outcome = HTTP_ANSWERED, .peer = &link->peer, .head = &link->head, .body = &link->content,
	};
	struct http_call *call = link->call;

	link->answers++;
	link->state = LINK_REST;
	if (!may_be_kept(link)) {
		http_link_close(link);
	} else {
		link->spare = true;
		link->client->spare_count++;
		link->skipped = 0;
		loop_timer_set(link->client->loop, &link->timer, BODY_MS);
		link_skip(link);
	}
	call_end(call, &result);
	if (link->call == NULL)
		buf_reset(&link->content);
}

/* The end of the connection is the end of the body, where nothing else says where that is. */
static bool
ends_body(const struct http_link *link)
{
	return link->head.until_close && link->conn.eof && !conn_truncated(&link->conn);
}

/* Reads the body that is wanted. */
static void
link_take(struct http_link *link)
{
	enum http_verdict verdict;
	int came = 1;

	do {
		verdict = http_take_body(&link->in, &link->head, &link->body, &link->content);
	} while (verdict == HTTP_MORE && (came = link_read(link)) == 1);
	if (verdict == HTTP_DONE || (came == -1 && ends_body(link))) {
		link_answered(link);
	} else if (verdict == HTTP_BAD) {
		link->head.reason = link->body.reason;
		link_fail(link, HTTP_BODY_GARBLED, 0);
	} else if (came == -1) {
		link_fail(link, HTTP_CLOSED, 0);
	}
}

/* The head is whole. */
static void
on_head(struct http_link *link)
{
	link->body = (struct http_body){ 0 };
	if (link->call->body_max == 0 || link->head.status > 299) {
		link_answered(link);
	} else {
		link->state = LINK_BODY;
		link_take(link);
	}
}

static void
link_receive(struct http_link *link)
{
	enum http_verdict verdict = HTTP_MORE;
	int came = 1;

	while (verdict == HTTP_MORE && (came = link_read(link)) == 1) {
		link->kept = false;
		verdict = http_parse_head(&link->in, &link->head, link->call->on_header, link->call->ctx);
	}
	if (verdict == HTTP_DONE)
		on_head(link);
	else if (verdict == HTTP_BAD)
		link_fail(link, HTTP_GARBLED, 0);
	else if (came == -1)
		link_lost(link);
}

static void
on_connect_event(struct http_link *link)
{
	int error;

	if (!link->conn.writable)
		return;
	if ((error = conn_connected(&link->conn)) != 0)
		link_connect(link, error);
	else
		link_connected(link);
}

/* An answer can begin only after the request has left, so what comes while sending waits. */
static void
on_events(struct loop_io *io, uint32_t events)
{
	struct http_link *link = LIST_ENTRY(io, struct http_link, conn.io);

	conn_events(&link->conn, events);
	if (link->state == LINK_CONNECTING)
		on_connect_event(link);
	else if (link->state == LINK_SECURING)
		link_secure(link);
	else if (link->state == LINK_SENDING)
		link_send(link);
	if (link->state == LINK_HEAD)
		link_receive(link);
	else if (link->state == LINK_BODY)
		link_take(link);
	else if (link->state == LINK_REST && conn_is_open(&link->conn))
		link_skip(link);
	else if (link->state == LINK_IDLE && !is_silent(link))
		http_link_close(link);
}

static void
on_time(struct loop_timer *timer)
{
	struct http_link *link = LIST_ENTRY(timer, struct http_link, timer);

	switch (link->state) {
	case LINK_CONNECTING:
	case LINK_SECURING:
		link_connect(link, ETIMEDOUT);
		break;
	case LINK_SENDING:
	case LINK_HEAD:
	case LINK_BODY:
		link_fail(link, HTTP_TIMED_OUT, 0);
		break;
	case LINK_REST:
	case LINK_IDLE:
		http_link_close(link);
		break;
	}
}

void
http_link_begin(struct http_client *client, struct http_call *call)
{
	struct http_link *link = mem_alloc(sizeof(*link));

	*link = (struct http_link){
		.client = client, .call = call, .conn.io.fd = -1, .timer.on_time = on_time, .burial.run = link_bury,
	};
	call->link = link;
	list_add(&client->busy, &link->node);
	link_connect(link, 0);
}

void
http_link_reuse(struct http_link *link, struct http_call *call)
{
	struct http_client *client = link->client;

	list_remove(&link->node);
	list_add(&client->busy, &link->node);
	client->idle_count--;
	client->spare_count--;
	link->spare = false;
	link->kept = true;
	link->call = call;
	call->link = link;
	link_request(link);
}

/*
 * auth_helper - asks the helper processes of a source, through its mailbox
 *
 * Behind auth_source.h. Questions wait in a queue of this worker and go into the mailbox
 * two a helper, so that slow hashes hold up nobody but those who wait for them; each
 * takes a socket of its own along, on which the answer comes. A mailbox that is full,
 * or descriptors that have run out, mean later. Only a deadline that passes, a queue
 * that is full or a helper that ends without an answer make the source unavailable.
 * Built on: auth_source, codec, loop, packet, sasl (what may be a credential).
 */
#include "worker/auth/auth_source.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/packet.h"
#include "worker/helper/codec.h"
#include "worker/proto/sasl.h"

#define WAITING_MAX 4096        /* questions in the queue */
#define UNDER_WAY_A_HELPER 2    /* one is being answered, the next is there when it has been */
#define RETRY_MS 10             /* after "later" */
#define WAIT_MAX_MS 60000       /* of the silence that a helper may ask for */
#define REASON_MAX 600          /* bytes of a helper's reason in a log line */

struct helpers {
	struct auth_source source;
	struct list waiting;            /* of struct question, oldest first */
	unsigned waiting_count, sent_count;
	struct loop_task send;          /* there may be room in the mailbox */
	struct loop_timer retry;
};

struct question {
	struct auth_request request;
	struct list node;               /* in waiting, else unlinked */
	struct loop_io reply;           /* our end of the socket; fd -1 until it was sent */
	struct loop_timer deadline;
	uint64_t deadline_ms;
};

static struct helpers *
helpers_of(const struct question *q)
{
	return (struct helpers *)q->request.source;
}

/* Ends the question, which may be gone when this returns. */
static void
fail(struct question *q, const char *what)
{
	auth_unavailable(&q->request, "%s %s %s", conf_source_directive(q->request.source->conf->kind),
	    q->request.source->conf->label, what);
}

static void
refuse(struct question *q, const char *reason)
{
	const struct auth_answer answer = { .outcome = AUTH_REFUSED, .reason = mem_strdup(reason) };

	auth_settle(&q->request, &answer);
}

/* Returns the length of the packet, or -1 if one cannot hold it. */
static ssize_t
compose(char packet[CODEC_MAX], const struct question *q)
{
	const struct auth_question *question = q->request.question;
	const struct credentials *credentials = question->credentials;
	const struct helper_request request = {
		.deadline_ms = q->deadline_ms,
		.connection = question->connection,
		.method = credentials->method,
		.is_last = q->request.is_last,
		.protocol = question->server->protocol,
		.client = *question->facts->client,
		.user = credentials->user,
		.secret = credentials->pass,
		.authz = credentials->authz,
		.salt = question->facts->salt,
		.server_name = question->server->name,
	};

	return helper_request_encode(packet, CODEC_MAX, &request);
}

/* Puts the packet into the mailbox. Returns our end of its reply socket, or -1 with errno. */
static int
post(const struct question *q, const char *packet, size_t len)
{
	int ends[2], error = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	if (packet_send(q->request.source->conf->mailbox, packet, len, ends[1]) == -1)
		error = errno;
	close(ends[1]);
	if (error == 0)
		return ends[0];
	close(ends[0]);
	errno = error;
	return -1;
}

/* Not now, but soon: somebody else has what is missing, and will give it back. */
static bool
means_later(int error)
{
	switch (error) {
	case EAGAIN:
	case ETOOMANYREFS:
	case ENOBUFS:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
		return true;
	default:
		return false;
	}
}

/* A helper is no stranger, but its file or database may be one's. */
static bool
may_be_shown(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static bool
is_sane(const struct helper_reply *reply)
{
	return (reply->user == NULL || sasl_text_ok(reply->user, strlen(reply->user), PROTO_USER_MAX, false)) &&
	    (reply->pass == NULL || sasl_text_ok(reply->pass, strlen(reply->pass), PROTO_PASS_MAX, true)) &&
	    (reply->host == NULL || (reply->host[0] != '\0' && may_be_shown(reply->host))) &&
	    (reply->text == NULL || may_be_shown(reply->text));
}

/* The helper is there and cannot say; `why` is its own word for it, which has passed through foreign hands, or NULL. */
static void
give_up(struct question *q, const char *why)
{
	char text[REASON_MAX], *what;

	if (why == NULL) {
		fail(q, "cannot answer");
		return;
	}
	what = mem_printf("cannot answer: %s", log_text(text, sizeof(text), why, strlen(why)));
	fail(q, what);
	mem_free(what);
}

static enum auth_ssl
ssl_of(const struct helper_reply *reply)
{
	static const enum auth_ssl words[] = {
		[PROXY_SSL_OFF] = AUTH_SSL_OFF, [PROXY_SSL_ON] = AUTH_SSL_ON, [PROXY_SSL_STARTTLS] = AUTH_SSL_STARTTLS,
	};

	return reply->says_ssl ? words[reply->ssl] : AUTH_SSL_UNSAID;
}

static enum auth_outcome
outcome_of(const struct helper_reply *reply)
{
	switch (reply->outcome) {
	case HELPER_ACCEPTED:
		return AUTH_ACCEPTED;
	case HELPER_UNKNOWN:
		return AUTH_UNKNOWN;
	case HELPER_REFUSED:
		return AUTH_REFUSED;
	case HELPER_UNAVAILABLE:
		break;
	}
	return AUTH_UNAVAILABLE;
}

static void
settle(struct question *q, struct helper_reply *reply)
{
	const struct auth_answer answer = {
		.outcome = outcome_of(reply),
		.user = reply->user, .pass = reply->pass,
		.host = reply->host, .port = reply->port, .is_unix = reply->is_unix,
		.ssl = ssl_of(reply), .text = reply->text, .reason = reply->reason,
		.wait_ms = reply->wait_ms < WAIT_MAX_MS ? reply->wait_ms : WAIT_MAX_MS, .epoch = reply->epoch,
	};

	auth_settle(&q->request, &answer);
}

static void
on_reply(struct loop_io *io, uint32_t events)
{
	struct question *q = LIST_ENTRY(io, struct question, reply);
	char packet[CODEC_MAX];
	struct helper_reply reply;
	ssize_t len = recv(io->fd, packet, sizeof(packet), MSG_TRUNC);

	(void)events;
	if (len == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		fail(q, "ended without an answer");
	} else if ((size_t)len > sizeof(packet) || helper_reply_decode(&reply, packet, (size_t)len) == -1) {
		fail(q, "sent an invalid answer");
	} else if (reply.outcome == HELPER_UNAVAILABLE || !is_sane(&reply)) {
		give_up(q, reply.outcome == HELPER_UNAVAILABLE ? reply.reason : NULL);
		helper_reply_reset(&reply);
	} else {
		settle(q, &reply);
	}
	mem_wipe(packet, sizeof(packet));
}

/* Returns 0, or an errno; then nothing was sent, or nobody will look at it. */
static int
send_one(struct question *q)
{
	struct helpers *h = helpers_of(q);
	char packet[CODEC_MAX];
	ssize_t len = compose(packet, q);
	int error = 0;

	if (len == -1)
		return EMSGSIZE;
	if ((q->reply.fd = post(q, packet, (size_t)len)) == -1)
		error = errno;
	mem_wipe(packet, (size_t)len);
	if (error != 0)
		return error;
	if (loop_watch(h->source.loop, &q->reply, EPOLLIN) == -1) {
		error = errno;
		close(q->reply.fd);
		q->reply.fd = -1;
		return error;
	}
	h->sent_count++;
	return 0;
}

static bool
has_room(const struct helpers *h)
{
	return h->sent_count < UNDER_WAY_A_HELPER * h->source.conf->helpers;
}

static void
wait_in(struct helpers *h, struct question *q)
{
	list_add(&h->waiting, &q->node);
	h->waiting_count++;
}

static void
stop_waiting(struct helpers *h, struct question *q)
{
	if (list_is_empty(&q->node))
		return;
	list_remove(&q->node);
	h->waiting_count--;
}

/* Sends what waits, oldest first, as far as there is room. */
static void
send_waiting(struct helpers *h)
{
	while (!list_is_empty(&h->waiting) && has_room(h)) {
		struct question *q = LIST_ENTRY(h->waiting.next, struct question, node);
		int error = send_one(q);

		if (means_later(error)) {
			loop_timer_set(h->source.loop, &h->retry, RETRY_MS);
			return;
		}
		stop_waiting(h, q);
		if (error != 0)
			fail(q, "cannot be reached");
	}
}

static void
on_send(struct loop_task *task)
{
	send_waiting(LIST_ENTRY(task, struct helpers, send));
}

static void
on_retry(struct loop_timer *timer)
{
	send_waiting(LIST_ENTRY(timer, struct helpers, retry));
}

static void
on_deadline(struct loop_timer *timer)
{
	fail(LIST_ENTRY(timer, struct question, deadline), "timed out");
}

static void
open_source(struct auth_source *source)
{
	struct helpers *h = (struct helpers *)source;

	list_init(&h->waiting);
	h->send.run = on_send;
	h->retry.on_time = on_retry;
}

static void
close_source(struct auth_source *source)
{
	struct helpers *h = (struct helpers *)source;

	loop_drop(&h->send);
	loop_timer_stop(&h->retry);
}

/* Returns NULL, or why no helper need be asked. */
static const char *
judge(const struct credentials *credentials)
{
	bool is_token = ((unsigned)credentials->method & METHODS_TOKEN) != 0;

	if (credentials->pass == NULL || strlen(credentials->pass) <= (is_token ? CODEC_TOKEN_MAX : CODEC_SECRET_MAX))
		return NULL;
	return is_token ? "token too long" : "password too long";
}

/* From question to answer. */
static uint64_t
patience_ms(const struct auth_request *request)
{
	uint64_t own = request->source->conf->timeout;

	return own != 0 ? own : request->question->server->auth_timeout;
}

/* No other question is touched from in here: its asker would be called by a stranger. */
static void
ask(struct auth_request *request)
{
	struct question *q = (struct question *)request;
	struct helpers *h = helpers_of(q);
	const char *why = judge(request->question->credentials);

	list_init(&q->node);
	q->reply = (struct loop_io){ .on_events = on_reply, .fd = -1 };
	q->deadline.on_time = on_deadline;
	if (why != NULL) {
		refuse(q, why);
		return;
	}
	if (h->waiting_count >= WAITING_MAX) {
		fail(q, "has too many logins waiting");
		return;
	}
	q->deadline_ms = loop_now_ms(h->source.loop) + patience_ms(request);
	loop_timer_set(h->source.loop, &q->deadline, patience_ms(request));
	wait_in(h, q);
	if (h->waiting_count == 1 && !loop_timer_is_set(&h->retry))
		send_waiting(h);
}

static void
drop(struct auth_request *request)
{
	struct question *q = (struct question *)request;
	struct helpers *h = helpers_of(q);

	loop_timer_stop(&q->deadline);
	stop_waiting(h, q);
	if (q->reply.fd != -1) {
		loop_close(h->source.loop, &q->reply);
		h->sent_count--;
	}
	if (!list_is_empty(&h->waiting))
		loop_again(h->source.loop, &h->send);
}

static unsigned
idle(const struct auth_source *source)
{
	(void)source;
	return 0;
}

static void
shed(struct auth_source *source)
{
	(void)source;
}

const struct auth_source_kind auth_helper = {
	.source_size = sizeof(struct helpers), .request_size = sizeof(struct question),
	.open = open_source, .close = close_source, .ask = ask, .drop = drop, .idle = idle, .shed = shed,
};

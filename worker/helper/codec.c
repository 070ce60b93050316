#include "worker/helper/codec.h"

#include <string.h>

#include "common/mem.h"

#define VERSION 3
#define NO_TEXT UINT32_MAX

/* The heads have no padding: every byte that leaves was written. */
struct request_head {
	uint32_t version, method, protocol, is_last;
	uint64_t deadline_ms, connection;
	struct addr client;
	uint32_t end;
};

struct reply_head {
	uint32_t version, outcome, port, is_unix;
	uint32_t ssl;           /* 0: nothing is said of it; else enum proxy_ssl and 1 */
	uint32_t zero;
	uint64_t wait_ms, epoch;
};

_Static_assert(sizeof(struct request_head) == 16 + 16 + sizeof(struct addr) + 4, "padding in request_head");
_Static_assert(sizeof(struct reply_head) == 6 * 4 + 2 * 8, "padding in reply_head");
_Static_assert(sizeof(struct addr) == 20, "padding in addr");

/* What is still free, or unread, of a message. `failed` stays once it is set. */
struct writer {
	char *at;
	size_t left;
	bool failed;
};

struct reader {
	const char *at;
	size_t left;
	bool failed;
};

static void
put(struct writer *w, const void *bytes, size_t len)
{
	if (w->failed || len > w->left) {
		w->failed = true;
		return;
	}
	memcpy(w->at, bytes, len);
	w->at += len;
	w->left -= len;
}

static void
put_text(struct writer *w, const char *text)
{
	size_t text_len = text == NULL ? 0 : strlen(text);
	uint32_t len = text == NULL ? NO_TEXT : (uint32_t)text_len;

	if (text_len > w->left) {
		w->failed = true;
		return;
	}
	put(w, &len, sizeof(len));
	if (text != NULL)
		put(w, text, text_len + 1);
}

static const char *
get(struct reader *r, size_t len)
{
	const char *at = r->at;

	if (r->failed || len > r->left) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return at;
}

/* A text in the message, which holds no NUL but the one at its end; NULL if there is none, or on failure. */
static const char *
get_text(struct reader *r)
{
	const char *bytes = get(r, sizeof(uint32_t)), *text;
	uint32_t len;

	if (bytes == NULL)
		return NULL;
	memcpy(&len, bytes, sizeof(len));
	if (len == NO_TEXT)
		return NULL;
	text = get(r, (size_t)len + 1);
	if (text != NULL && memchr(text, '\0', (size_t)len + 1) != text + len) {
		r->failed = true;
		return NULL;
	}
	return text;
}

static char *
get_copy(struct reader *r)
{
	return mem_strdup(get_text(r));
}

/* A message ends where its last text does. */
static bool
is_whole(const struct reader *r)
{
	return !r->failed && r->left == 0;
}

ssize_t
helper_request_encode(void *out, size_t size, const struct helper_request *request)
{
	struct writer w = { .at = out, .left = size };
	const struct request_head head = {
		.version = VERSION, .method = request->method, .protocol = request->protocol,
		.deadline_ms = request->deadline_ms, .connection = request->connection, .client = request->client,
		.is_last = request->is_last,
	};

	put(&w, &head, sizeof(head));
	put_text(&w, request->user);
	put_text(&w, request->secret);
	put_text(&w, request->authz);
	put_text(&w, request->salt);
	put_text(&w, request->server_name);
	return w.failed ? -1 : (ssize_t)(size - w.left);
}

static bool
is_method(uint32_t method)
{
	switch (method) {
	case METHOD_PLAIN:
	case METHOD_LOGIN:
	case METHOD_APOP:
	case METHOD_CRAM_MD5:
	case METHOD_EXTERNAL:
	case METHOD_NONE:
	case METHOD_XOAUTH2:
	case METHOD_OAUTHBEARER:
		return true;
	default:
		return false;
	}
}

static bool
is_family(uint16_t family)
{
	return family == AF_UNSPEC || family == AF_UNIX || family == AF_INET || family == AF_INET6;
}

int
helper_request_decode(struct helper_request *request, const void *bytes, size_t len)
{
	struct reader r = { .at = bytes, .left = len };
	struct request_head head;
	const char *at = get(&r, sizeof(head));

	if (at == NULL)
		return -1;
	memcpy(&head, at, sizeof(head));
	if (head.version != VERSION || !is_method(head.method) || head.protocol >= PROTOCOL_COUNT ||
	    !is_family(head.client.family) || head.is_last > 1 || head.end != 0)
		return -1;
	*request = (struct helper_request){
		.deadline_ms = head.deadline_ms, .connection = head.connection, .client = head.client,
		.is_last = head.is_last, .method = (enum method)head.method, .protocol = (enum protocol)head.protocol,
	};
	request->user = get_text(&r);
	request->secret = get_text(&r);
	request->authz = get_text(&r);
	request->salt = get_text(&r);
	request->server_name = get_text(&r);
	return is_whole(&r) ? 0 : -1;
}

ssize_t
helper_reply_encode(void *out, size_t size, const struct helper_reply *reply)
{
	struct writer w = { .at = out, .left = size };
	const struct reply_head head = {
		.version = VERSION, .outcome = reply->outcome, .port = reply->port, .is_unix = reply->is_unix,
		.ssl = reply->says_ssl ? (uint32_t)reply->ssl + 1 : 0,
		.wait_ms = reply->wait_ms, .epoch = reply->epoch,
	};

	put(&w, &head, sizeof(head));
	put_text(&w, reply->user);
	put_text(&w, reply->pass);
	put_text(&w, reply->host);
	put_text(&w, reply->text);
	put_text(&w, reply->reason);
	return w.failed ? -1 : (ssize_t)(size - w.left);
}

int
helper_reply_decode(struct helper_reply *reply, const void *bytes, size_t len)
{
	struct reader r = { .at = bytes, .left = len };
	struct reply_head head;
	const char *at = get(&r, sizeof(head));

	*reply = (struct helper_reply){ .outcome = HELPER_UNAVAILABLE };
	if (at == NULL)
		return -1;
	memcpy(&head, at, sizeof(head));
	if (head.version != VERSION || head.outcome < HELPER_ACCEPTED || head.outcome > HELPER_UNAVAILABLE ||
	    head.port > UINT16_MAX || head.is_unix > 1 || head.ssl > PROXY_SSL_STARTTLS + 1 ||
	    head.zero != 0)
		return -1;
	reply->outcome = (enum helper_outcome)head.outcome;
	reply->port = head.port;
	reply->is_unix = head.is_unix;
	reply->wait_ms = head.wait_ms;
	reply->epoch = head.epoch;
	reply->says_ssl = head.ssl > 0;
	reply->ssl = head.ssl > 0 ? (enum proxy_ssl)(head.ssl - 1) : PROXY_SSL_OFF;
	reply->user = get_copy(&r);
	reply->pass = get_copy(&r);
	reply->host = get_copy(&r);
	reply->text = get_copy(&r);
	reply->reason = get_copy(&r);
	if (is_whole(&r))
		return 0;
	helper_reply_reset(reply);
	return -1;
}

void
helper_reply_reset(struct helper_reply *reply)
{
	mem_free_secret(&reply->user);
	mem_free_secret(&reply->pass);
	mem_free_secret(&reply->host);
	mem_free_secret(&reply->text);
	mem_free_secret(&reply->reason);
	*reply = (struct helper_reply){ .outcome = HELPER_UNAVAILABLE };
}

/* auth_http - the source that asks an HTTP server, as nginx's auth_http does */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "worker/auth/auth_source.h"
#include "worker/auth/http_answer.h"
#include "worker/net/http_client.h"
#include "worker/proto/quote.h"

#define REQUEST_MAX ((size_t)1 << 20)   /* what a client may send stays far below, escaped or not */
#define WAITS_MAX 20                    /* how often a server may say WAIT to one question */
#define WAIT_MIN_MS 1000
#define PEER_TEXT 128

struct http_source {
	struct auth_source base;
	struct http_client *client;     /* owned */
};

struct http_request {
	struct auth_request base;
	struct http_call call;
	struct buf request;
	struct http_answer answer;      /* as far as it has come */
	struct loop_timer wait;
	unsigned waits;
};

static void
http_open(struct auth_source *base)
{
	struct http_source *source = (struct http_source *)base;

	const struct conf_source *conf = base->conf;
	const struct http_keep keep = {
		.connections = conf->keepalive, .requests = conf->keepalive_requests, .idle_ms = conf->keepalive_timeout,
	};

	source->client = http_client_new(conf->servers[0]->name, &keep, base->loop, base->resolver);
}

static void
http_close(struct auth_source *base)
{
	http_client_free(&((struct http_source *)base)->client);
}

static unsigned
http_idle(const struct auth_source *base)
{
	return http_client_idle(((const struct http_source *)base)->client);
}

static void
http_shed(struct auth_source *base)
{
	http_client_shed(((struct http_source *)base)->client);
}

/* These append one header line, and return 0, or -1 if it does not fit or would be two. NULL is an empty value. */
static int
add_header(struct buf *out, const char *name, const char *value)
{
	if (value == NULL)
		value = "";
	if (strpbrk(value, "\r\n") != NULL)
		return -1;
	return buf_add_text(out, name) | buf_add(out, ": ", 2) | buf_add_text(out, value) | buf_add(out, "\r\n", 2);
}

static int
add_escaped(struct buf *out, const char *name, const char *value)
{
	return buf_add_text(out, name) | buf_add(out, ": ", 2) | quote_percent(out, value == NULL ? "" : value) |
	    buf_add(out, "\r\n", 2);
}

static const char *
method_word(enum method method)
{
	switch (method) {
	case METHOD_PLAIN:
	case METHOD_LOGIN:
		return "plain";
	case METHOD_APOP:
		return "apop";
	case METHOD_CRAM_MD5:
		return "cram-md5";
	case METHOD_EXTERNAL:
		return "external";
	case METHOD_XOAUTH2:
		return "xoauth2";
	case METHOD_OAUTHBEARER:
		return "oauthbearer";
	case METHOD_NONE:
		break;
	}
	return "none";
}

/* Who it claims to be. */
static int
add_credentials(struct buf *out, const struct auth_question *question)
{
	const struct credentials *c = question->credentials;
	int failed = 0;

	failed |= add_header(out, "Auth-Method", method_word(c->method));
	failed |= add_escaped(out, "Auth-User", c->user);
	failed |= add_escaped(out, "Auth-Pass", c->pass);
	if (c->method == METHOD_APOP || c->method == METHOD_CRAM_MD5)
		failed |= add_header(out, "Auth-Salt", question->facts->salt);
	return failed;
}

/* Where it comes from, and by which protocol. */
static int
add_client(struct buf *out, const struct auth_question *question)
{
	enum protocol protocol = question->server->protocol;
	char text[ADDR_TEXT], attempt[16];
	int failed = 0;

	snprintf(attempt, sizeof(attempt), "%u", question->attempt);
	failed |= add_header(out, "Auth-Protocol", protocol_name(protocol));
	failed |= add_header(out, "Auth-Login-Attempt", attempt);
	failed |= add_header(out, "Client-IP", addr_format(text, question->facts->client));
	if (protocol == PROTOCOL_SMTP)
		failed |= add_escaped(out, "Client-Host", question->facts->client_host);
	return failed;
}

/* What TLS told of the client's certificate, if it was asked for one. */
static int
add_certificate(struct buf *out, const struct tls_facts *tls, bool whole)
{
	int failed = 0;

	if (tls->verify == NULL)
		return 0;
	failed |= add_header(out, "Auth-SSL-Verify", tls->verify);
	if (tls->subject == NULL)
		return failed;
	failed |= add_header(out, "Auth-SSL-Subject", tls->subject);
	failed |= add_header(out, "Auth-SSL-Issuer", tls->issuer);
	failed |= add_header(out, "Auth-SSL-Serial", tls->serial);
	failed |= add_header(out, "Auth-SSL-Fingerprint", tls->fingerprint);
	failed |= add_header(out, "Auth-SSL-Fingerprint-SHA256", tls->fingerprint_sha256);
	if (whole && tls->certificate != NULL)
		failed |= add_escaped(out, "Auth-SSL-Cert", tls->certificate);
	return failed;
}

static int
add_tls(struct buf *out, const struct auth_question *question)
{
	const struct tls_facts *tls = &question->facts->tls;

	if (!question->facts->secure)
		return 0;
	return add_header(out, "Auth-SSL", "on") | add_header(out, "Auth-SSL-Protocol", tls->protocol) |
	    add_header(out, "Auth-SSL-Cipher", tls->cipher) |
	    add_certificate(out, tls, question->server->auth_http_pass_client_cert);
}

/* What follows the rows that every request has. */
static int
add_rest(struct buf *out, const struct auth_question *question)
{
	const struct credentials *c = question->credentials;
	struct conf_header **headers = question->server->auth_http_headers;
	int failed = 0;

	if (c->method == METHOD_NONE) {
		failed |= add_header(out, "Auth-SMTP-Helo", c->helo);
		failed |= add_header(out, "Auth-SMTP-From", c->mail);
		failed |= add_header(out, "Auth-SMTP-To", c->rcpt);
	}
	failed |= add_tls(out, question);
	if (c->authz != NULL)
		failed |= add_escaped(out, "Auth-Authz", c->authz);
	for (; headers != NULL && *headers != NULL; headers++)
		failed |= add_header(out, (*headers)->name, (*headers)->value);
	return failed | buf_add(out, "\r\n", 2);
}

/* Headers and their order are nginx's; Connection is for servers that speak HTTP/1.0. Returns 0, or -1. */
static int
compose(struct buf *out, const struct conf_source *conf, const struct auth_question *question)
{
	int failed = buf_printf(out, "GET %s HTTP/1.1\r\n", conf->servers[0]->uri);

	failed |= add_header(out, "Host", conf->servers[0]->host);
	failed |= add_header(out, "Connection", "keep-alive");
	failed |= add_credentials(out, question);
	failed |= add_client(out, question);
	return failed | add_rest(out, question);
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	http_answer_header(&((struct http_request *)ctx)->answer, name, value);
}

static void
ask_server(struct http_request *request)
{
	struct http_source *source = (struct http_source *)request->base.source;

	request->base.waiting = false;
	http_answer_reset(&request->answer);
	http_client_start(source->client, &request->call);
}

static void
on_wait_over(struct loop_timer *timer)
{
	ask_server(LIST_ENTRY(timer, struct http_request, wait));
}

/* The server wants to be asked again later. */
static void
wait_for(struct http_request *request, uint64_t wait_ms, const char *peer)
{
	const struct auth_question *question = request->base.question;

	if (++request->waits > WAITS_MAX) {
		auth_unavailable(&request->base, "auth http server %s sent WAIT too often", peer);
		return;
	}
	if (question->left != NULL && *question->left) {
		auth_unavailable(&request->base, "auth http server %s sent WAIT to a client that has left", peer);
		return;
	}
	request->base.waiting = true;
	http_answer_reset(&request->answer);
	loop_timer_set(request->base.source->loop, &request->wait, wait_ms < WAIT_MIN_MS ? WAIT_MIN_MS : wait_ms);
}

static void
on_answer(struct http_request *request, const struct http_head *head, const char *peer)
{
	const struct auth_question *question = request->base.question;
	struct auth_answer answer;
	char why[HTTP_ANSWER_WHY];

	switch (http_answer_judge(&request->answer, head->status, question, &answer, why)) {
	case ANSWER_AGAIN:
		wait_for(request, answer.wait_ms, peer);
		return;
	case ANSWER_FINAL:
		if (*why != '\0')
			log_to(question->server->log, LOG_ERROR, question->origin, "auth http server %s %s", peer, why);
		auth_settle(&request->base, &answer);
		return;
	case ANSWER_BAD:
		auth_answer_reset(&answer);
		auth_unavailable(&request->base, "auth http server %s %s", peer, why);
		return;
	}
}

static void
on_end(void *ctx, const struct http_result *result)
{
	struct http_request *request = ctx;
	char peer[PEER_TEXT];

	endpoint_format(peer, sizeof(peer), result->peer);
	switch (result->outcome) {
	case HTTP_ANSWERED:
		on_answer(request, result->head, peer);
		return;
	case HTTP_UNREACHABLE:
		auth_unavailable(&request->base, "connect() to auth http server %s failed %s", peer,
		    log_errno(result->error));
		return;
	case HTTP_INSECURE:
		auth_unavailable(&request->base, "SSL handshake with auth http server %s failed %s", peer, result->reason);
		return;
	case HTTP_TIMED_OUT:
		auth_unavailable(&request->base, "auth http server %s timed out", peer);
		return;
	case HTTP_CLOSED:
		auth_unavailable(&request->base,
		    "auth http server %s closed the connection before its answer was whole",
		    peer);
		return;
	case HTTP_GARBLED:
		auth_unavailable(&request->base, "auth http server %s sent invalid %s: %s", peer,
		    result->head->status == 0 ? "response" : "header in response", result->head->reason);
		return;
	case HTTP_BODY_GARBLED:
		auth_unavailable(&request->base, "auth http server %s sent invalid response: %s", peer, result->head->reason);
		return;
	}
}

static void
http_ask(struct auth_request *base)
{
	struct http_request *request = (struct http_request *)base;
	const struct server *server = base->question->server;

	request->wait.on_time = on_wait_over;
	buf_init(&request->request, REQUEST_MAX);
	request->call = (struct http_call){
		.request = &request->request,
		.head_max = server->auth_http_buffer,
		.limit_ms = server->auth_http_timeout,
		.tls = base->source->conf->https ? &server->auth_http_tls : NULL,
		.on_header = on_header,
		.on_end = on_end,
		.ctx = request,
	};
	if (compose(&request->request, base->source->conf, base->question) == -1)
		auth_unavailable(base, "could not compose a request to auth http server %s", base->source->conf->label);
	else
		ask_server(request);
}

static void
http_drop(struct auth_request *base)
{
	struct http_request *request = (struct http_request *)base;

	http_client_cancel(&request->call);
	loop_timer_stop(&request->wait);
	http_answer_reset(&request->answer);
	buf_reset(&request->request);
}

const struct auth_source_kind auth_http = {
	.source_size = sizeof(struct http_source),
	.request_size = sizeof(struct http_request),
	.open = http_open,
	.close = http_close,
	.ask = http_ask,
	.drop = http_drop,
	.idle = http_idle,
	.shed = http_shed,
};

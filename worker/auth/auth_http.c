/* auth_http - the source that asks an HTTP server, as nginx's auth_http does */
#include <stdio.h>
#include <string.h>

#include "worker/auth/http_answer.h"
#include "worker/auth/web.h"
#include "worker/proto/quote.h"

#define WAITS_MAX 20                    /* how often a server may say WAIT to one question */
#define WAIT_MIN_MS 1000

_Static_assert(WEB_WHY >= HTTP_ANSWER_WHY, "what an answer lacks is said in web's room");

struct http_request {
	struct web_request web;
	struct http_answer answer;      /* as far as it has come */
	struct loop_timer wait;
	unsigned waits;
};

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

static int
add_address(struct buf *out, const char *name, const char *port_name, const struct addr *a)
{
	char text[ADDR_TEXT], port[8];

	snprintf(port, sizeof(port), "%u", a->port);
	return add_header(out, name, addr_format(text, a)) | add_header(out, port_name, port);
}

/* What a PROXY header said, whether it was believed or not. */
static int
add_proxy(struct buf *out, const struct facts *facts)
{
	if (facts->proxy_source == NULL)
		return 0;
	return add_address(out, "Proxy-Protocol-Addr", "Proxy-Protocol-Port", facts->proxy_source) |
	    add_address(out, "Proxy-Protocol-Server-Addr", "Proxy-Protocol-Server-Port", facts->proxy_destination);
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
	return failed | add_proxy(out, question->facts);
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
	if (question->session != NULL && *question->session != '\0')
		failed |= add_header(out, "Auth-Session-ID", question->session);
	if (c->authz != NULL)
		failed |= add_escaped(out, "Auth-Authz", c->authz);
	for (; headers != NULL && *headers != NULL; headers++)
		failed |= add_header(out, (*headers)->name, (*headers)->value);
	return failed | buf_add(out, "\r\n", 2);
}

/* Headers and their order are nginx's, ours behind them; Connection is for servers that speak HTTP/1.0. */
static int
http_compose(struct web_request *web, const struct conf_web *server)
{
	const struct auth_question *question = web->base.question;
	struct buf *out = &web->text;
	int failed = buf_printf(out, "GET %s HTTP/1.1\r\n", server->uri);

	failed |= add_header(out, "Host", server->host);
	failed |= add_header(out, "Connection", web->base.source->conf->keepalive > 0 ? "keep-alive" : "close");
	failed |= add_credentials(out, question);
	failed |= add_client(out, question);
	return failed | add_rest(out, question);
}

static void
http_forget(struct web_request *web)
{
	http_answer_reset(&((struct http_request *)web)->answer);
}

static void
http_header(void *ctx, const char *name, const char *value)
{
	struct http_request *request = ctx;

	http_answer_header(&request->answer, name, value);
	http_answer_keep(&request->answer, request->web.base.question->server->kept_headers, name, value);
}

static void
on_wait_over(struct loop_timer *timer)
{
	struct http_request *request = LIST_ENTRY(timer, struct http_request, wait);

	request->web.base.waiting = false;
	web_ask(&request->web);
}

/* The server wants to be asked again later. False when that is no answer any more. */
static bool
wait_for(struct http_request *request, uint64_t wait_ms, char why[WEB_WHY])
{
	struct auth_request *base = &request->web.base;

	if (++request->waits > WAITS_MAX) {
		snprintf(why, WEB_WHY, "sent WAIT too often");
		return false;
	}
	if (base->question->left != NULL && *base->question->left) {
		snprintf(why, WEB_WHY, "sent WAIT to a client that has left");
		return false;
	}
	base->waiting = base->fleeting = true;
	http_answer_reset(&request->answer);
	loop_timer_set(base->source->loop, &request->wait, wait_ms < WAIT_MIN_MS ? WAIT_MIN_MS : wait_ms);
	return true;
}

static bool
http_judge(struct web_request *web, const struct http_result *result, char why[WEB_WHY])
{
	struct http_request *request = (struct http_request *)web;
	const struct auth_question *question = web->base.question;
	struct auth_answer answer;
	char peer[WEB_PEER];

	switch (http_answer_judge(&request->answer, result->head->status, question, &answer, why)) {
	case ANSWER_AGAIN:
		return wait_for(request, answer.wait_ms, why);
	case ANSWER_FINAL:
		if (*why != '\0')
			log_to(question->server->log, LOG_ERROR, question->origin, "auth http server %s %s",
			    endpoint_format(peer, sizeof(peer), result->peer), why);
		auth_settle(&web->base, &answer);
		return true;
	case ANSWER_BAD:
		break;
	}
	auth_answer_reset(&answer);
	return false;
}

static const struct web_kind kind = {
	.what = "auth http server",
	.compose = http_compose,
	.forget = http_forget,
	.on_header = http_header,
	.judge = http_judge,
};

static void
http_ask(struct auth_request *base)
{
	struct http_request *request = (struct http_request *)base;

	request->wait.on_time = on_wait_over;
	web_init(&request->web, &kind, base->question->server->auth_http_buffer, 0);
	web_ask(&request->web);
}

static void
http_drop(struct auth_request *base)
{
	struct http_request *request = (struct http_request *)base;

	web_reset(&request->web);
	loop_timer_stop(&request->wait);
	http_answer_reset(&request->answer);
}

const struct auth_source_kind auth_http = {
	.source_size = sizeof(struct web_source),
	.request_size = sizeof(struct http_request),
	.open = web_open,
	.close = web_close,
	.ask = http_ask,
	.drop = http_drop,
	.idle = web_idle,
	.shed = web_shed,
};

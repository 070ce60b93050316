#include "worker/auth/web.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "worker/net/balance.h"

#define TEXT_MAX ((size_t)1 << 20)      /* what a client may send stays far below, escaped or not */
#define REASON_TEXT (WEB_WHY + WEB_PEER + 64)

void
web_open(struct auth_source *base)
{
	struct web_source *source = (struct web_source *)base;
	const struct conf_source *conf = base->conf;
	const struct http_keep keep = {
		.connections = conf->keepalive,
		.requests = conf->keepalive_requests,
		.idle_ms = conf->keepalive_timeout,
	};
	struct balance_server *servers;

	while (conf->servers[source->count] != NULL)
		source->count++;
	source->clients = mem_array(source->count, sizeof(source->clients[0]));
	servers = mem_array(source->count, sizeof(servers[0]));
	for (size_t i = 0; i < source->count; i++) {
		const struct conf_web *web = conf->servers[i];

		source->clients[i] = http_client_new(web->name, &keep, base->loop, base->resolver);
		servers[i] = (struct balance_server){
			.weight = web->weight, .max_fails = web->max_fails, .fail_timeout_ms = web->fail_timeout,
			.backup = web->backup,
		};
	}
	source->balance = balance_new(servers, source->count);
	mem_free(servers);
}

void
web_close(struct auth_source *base)
{
	struct web_source *source = (struct web_source *)base;

	for (size_t i = 0; i < source->count; i++)
		http_client_free(&source->clients[i]);
	mem_free(source->clients);
	balance_free(&source->balance);
}

unsigned
web_idle(const struct auth_source *base)
{
	const struct web_source *source = (const struct web_source *)base;
	unsigned count = 0;

	for (size_t i = 0; i < source->count; i++)
		count += http_client_idle(source->clients[i]);
	return count;
}

void
web_shed(struct auth_source *base)
{
	struct web_source *source = (struct web_source *)base;

	for (size_t i = 0; i < source->count; i++)
		http_client_shed(source->clients[i]);
}

static struct web_source *
source_of(const struct web_request *request)
{
	return (struct web_source *)request->base.source;
}

static const struct conf_web *
server_of(const struct web_request *request)
{
	return request->base.source->conf->servers[request->which];
}

/* The server that was asked has failed. Said once when it is put aside, not with each question that finds it so. */
static void
note_failure(const struct web_request *request)
{
	const struct web_source *source = source_of(request);
	const struct conf_web *server = server_of(request);

	if (balance_failed(source->balance, request->which, loop_now_ms(source->base.loop)))
		log_say(LOG_NOTICE, "%s %s is put aside for %" PRIu64 " ms", request->kind->what, server->label,
		    server->fail_timeout);
}

static void
note_answer(const struct web_request *request)
{
	if (balance_worked(source_of(request)->balance, request->which))
		log_say(LOG_NOTICE, "%s %s is back", request->kind->what, server_of(request)->label);
}

/* Is there another server, and time to ask it? */
static bool
may_go_on(const struct web_request *request)
{
	const struct web_source *source = source_of(request);

	return memchr(request->tried, false, source->count) != NULL &&
	    loop_now_ms(source->base.loop) < request->until_ms;
}

/* The last of several servers has, as a lone one, all the time that there is, by both of nginx's limits. */
static void
share_time(struct web_request *request)
{
	const struct web_source *source = source_of(request);
	uint64_t now_ms = loop_now_ms(source->base.loop);
	size_t others = balance_left(source->balance, request->tried, now_ms);

	request->call.limit_ms = (request->until_ms - now_ms) / (others + 1) + 1;
	request->call.deadline_ms = others > 0 ? now_ms + request->call.limit_ms : 0;
}

static void
try_next(struct web_request *request)
{
	struct web_source *source = source_of(request);

	request->which = balance_pick(source->balance, request->tried, loop_now_ms(source->base.loop));
	share_time(request);
	request->kind->forget(request);
	buf_reset(&request->text);
	if (request->kind->compose(request, server_of(request)) == -1)
		auth_unavailable(&request->base, "could not compose a request to %s %s", request->kind->what,
		    server_of(request)->label);
	else
		http_client_start(source->clients[request->which], &request->call);
}

/* The try was in vain. */
static void
fail(struct web_request *request, const char *reason)
{
	const struct auth_question *question = request->base.question;

	note_failure(request);
	if (may_go_on(request)) {
		log_to(question->server->log, LOG_ERROR, question->origin, "%s", reason);
		try_next(request);
	} else {
		auth_unavailable(&request->base, "%s", reason);
	}
}

/* A status of 5xx is the server's own word that it has failed. */
static void
on_answer(struct web_request *request, const struct http_result *result)
{
	bool failed = result->head->status >= 500;
	char peer[WEB_PEER], why[WEB_WHY], reason[REASON_TEXT];

	if (!failed)
		note_answer(request);
	if (request->kind->judge(request, result, why))
		return;
	endpoint_format(peer, sizeof(peer), result->peer);
	snprintf(reason, sizeof(reason), "%s %s %s", request->kind->what, peer, why);
	if (failed)
		fail(request, reason);
	else
		auth_unavailable(&request->base, "%s", reason);
}

static void
describe_failure(char reason[REASON_TEXT], const char *what, const struct http_result *result)
{
	char peer[WEB_PEER];

	endpoint_format(peer, sizeof(peer), result->peer);
	switch (result->outcome) {
	case HTTP_UNREACHABLE:
		snprintf(reason, REASON_TEXT, "connect() to %s %s failed %s", what, peer, log_errno(result->error));
		break;
	case HTTP_INSECURE:
		snprintf(reason, REASON_TEXT, "SSL handshake with %s %s failed %s", what, peer, result->reason);
		break;
	case HTTP_TIMED_OUT:
		snprintf(reason, REASON_TEXT, "%s %s timed out", what, peer);
		break;
	case HTTP_ANSWERED:
	case HTTP_CLOSED:
		snprintf(reason, REASON_TEXT, "%s %s closed the connection before its answer was whole", what, peer);
		break;
	case HTTP_GARBLED:
		snprintf(reason, REASON_TEXT, "%s %s sent invalid %s: %s", what, peer,
		    result->head->status == 0 ? "response" : "header in response", result->head->reason);
		break;
	case HTTP_BODY_GARBLED:
		snprintf(reason, REASON_TEXT, "%s %s sent invalid response: %s", what, peer, result->head->reason);
		break;
	}
}

static void
on_end(void *ctx, const struct http_result *result)
{
	struct web_request *request = ctx;
	char reason[REASON_TEXT];

	if (result->outcome == HTTP_ANSWERED) {
		on_answer(request, result);
		return;
	}
	describe_failure(reason, request->kind->what, result);
	fail(request, reason);
}

void
web_init(struct web_request *request, const struct web_kind *kind, size_t head_max, size_t body_max)
{
	const struct conf_source *conf = request->base.source->conf;

	request->kind = kind;
	request->tried = mem_array(source_of(request)->count, sizeof(request->tried[0]));
	buf_init(&request->text, TEXT_MAX);
	request->call = (struct http_call){
		.request = &request->text,
		.head_max = head_max,
		.body_max = body_max,
		.tls = conf->https ? &request->base.question->server->auth_http_tls : NULL,
		.on_header = kind->on_header,
		.on_end = on_end,
		.ctx = request,
	};
}

void
web_ask(struct web_request *request)
{
	const struct web_source *source = source_of(request);

	memset(request->tried, 0, source->count * sizeof(request->tried[0]));
	request->until_ms = loop_now_ms(source->base.loop) + request->base.question->server->auth_http_timeout;
	try_next(request);
}

void
web_reset(struct web_request *request)
{
	http_client_cancel(&request->call);
	buf_reset(&request->text);
	mem_free(request->tried);
	request->tried = NULL;
}

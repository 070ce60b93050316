#include "worker/auth/auth.h"

#include <stdarg.h>
#include <string.h>

#include "common/mem.h"
#include "worker/auth/auth_cache.h"
#include "worker/auth/auth_chain.h"
#include "worker/auth/auth_source.h"

struct auth {
	struct auth_cache *cache;       /* owned; NULL: there is none */
	struct auth_chain_source chain;
	size_t count;
	struct auth_source *sources[];  /* owned; by conf_source.index */
};

static const struct auth_source_kind *const kinds[] = {
	[SOURCE_HTTP] = &auth_http,
	[SOURCE_FILE] = &auth_helper, [SOURCE_MYSQL] = &auth_helper, [SOURCE_PAM] = &auth_helper,
	[SOURCE_JWT] = &auth_helper,
	[SOURCE_INTROSPECTION] = &auth_introspection, [SOURCE_PASSTHROUGH] = &auth_passthrough,
};

static struct auth_source *
source_open(const struct conf_source *conf, struct loop *loop, struct resolver *resolver)
{
	const struct auth_source_kind *kind = kinds[conf->kind];
	struct auth_source *source = mem_alloc(kind->source_size);

	*source = (struct auth_source){ .kind = kind, .conf = conf, .loop = loop, .resolver = resolver };
	kind->open(source);
	return source;
}

struct auth *
auth_new(const struct conf *conf, struct loop *loop, struct resolver *resolver, uint32_t slot)
{
	struct auth *auth = mem_alloc(sizeof(*auth) + conf->source_count * sizeof(auth->sources[0]));

	auth->count = conf->source_count;
	for (size_t i = 0; i < auth->count; i++)
		auth->sources[i] = source_open(conf->sources[i], loop, resolver);
	if (conf->cache_count > 0)
		auth->cache = auth_cache_new(slot);
	auth->chain = (struct auth_chain_source){
		.base = { .kind = &auth_chain, .loop = loop, .resolver = resolver },
		.sources = auth->sources, .count = auth->count, .cache = auth->cache,
	};
	return auth;
}

void
auth_free(struct auth **authp)
{
	struct auth *auth = *authp;

	if (auth == NULL)
		return;
	for (size_t i = 0; i < auth->count; i++) {
		auth->sources[i]->kind->close(auth->sources[i]);
		mem_free(auth->sources[i]);
	}
	auth_cache_free(&auth->cache);
	mem_free(auth);
	*authp = NULL;
}

void
auth_answer_reset(struct auth_answer *answer)
{
	mem_free_secret(&answer->user);
	mem_free_secret(&answer->pass);
	mem_free_secret(&answer->host);
	mem_free_secret(&answer->ssl_name);
	mem_free_secret(&answer->headers);
	mem_free_secret(&answer->text);
	mem_free_secret(&answer->code);
	mem_free_secret(&answer->challenge);
	mem_free_secret(&answer->reason);
}

char *
auth_answer_header(const struct auth_answer *answer, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = answer->headers; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1)
		if (strncmp(line, name, len) == 0 && line[len] == '=')
			return mem_strndup(line + len + 1, strcspn(line + len + 1, "\n"));
	return NULL;
}

static void
request_free(struct auth_request *request)
{
	loop_drop(&request->late);
	request->source->kind->drop(request);
	auth_answer_reset(&request->answer);
	mem_free(request);
}

/* The kind's part is let go before the asker hears: a connection it held can serve the asker's next question. */
static void
tell(struct auth_request *request)
{
	request->source->kind->drop(request);
	request->done(request->ctx, &request->answer);
	auth_answer_reset(&request->answer);
	mem_free(request);
}

static void
tell_late(struct loop_task *task)
{
	tell(LIST_ENTRY(task, struct auth_request, late));
}

struct auth_request *
auth_ask_source(struct auth_source *source, const struct auth_question *question, bool is_last, auth_callback *done,
    void *ctx)
{
	struct auth_request *request = mem_alloc(source->kind->request_size);

	*request = (struct auth_request){
		.source = source, .question = question, .done = done, .ctx = ctx, .is_last = is_last,
		.late.run = tell_late, .asking = true,
	};
	source->kind->ask(request);
	request->asking = false;
	return request;
}

struct auth_request *
auth_ask(struct auth *auth, const struct auth_question *question, auth_callback *done, void *ctx)
{
	return auth_ask_source(&auth->chain.base, question, true, done, ctx);
}

void
auth_settle(struct auth_request *request, const struct auth_answer *answer)
{
	request->answer = *answer;
	if (request->source->conf != NULL)
		request->answer.source = request->source->conf;
	if (request->asking)
		loop_again(request->source->loop, &request->late);
	else
		tell(request);
}

void
auth_unavailable(struct auth_request *request, const char *format, ...)
{
	const struct auth_question *question = request->question;
	struct auth_answer answer = { .outcome = AUTH_UNAVAILABLE };
	va_list args;

	va_start(args, format);
	answer.reason = mem_vprintf(format, args);
	va_end(args);
	log_to(question->server->log, LOG_ERROR, question->origin, "%s", answer.reason);
	auth_settle(request, &answer);
}

void
auth_cancel(struct auth_request **requestp)
{
	struct auth_request *request = *requestp;

	*requestp = NULL;
	if (request != NULL)
		request_free(request);
}

void
auth_forget(struct auth *auth, const struct server *server, const struct auth_trace *trace)
{
	auth_cache_forget(auth->cache, server->auth_cache, trace);
}

bool
auth_is_waiting(const struct auth_request *request)
{
	return auth_chain_is_waiting(request);
}

unsigned
auth_idle_descriptors(const struct auth *auth)
{
	unsigned count = 0;

	for (size_t i = 0; i < auth->count; i++)
		count += auth->sources[i]->kind->idle(auth->sources[i]);
	return count;
}

void
auth_shed(struct auth *auth)
{
	for (size_t i = 0; i < auth->count; i++)
		auth->sources[i]->kind->shed(auth->sources[i]);
}

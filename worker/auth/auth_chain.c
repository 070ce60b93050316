#include "worker/auth/auth_chain.h"

#include "common/mem.h"
#include "common/must.h"
#include "worker/auth/auth_cache.h"

struct chain {
	struct auth_request request;    /* the asker's */
	struct conf_auth **link;        /* the first that has not been asked */
	struct auth_request *asking;    /* owned: the question to one source */
	struct auth_answer unknown;     /* owned: the last source's that did not know the user */
};

static const struct auth_chain_source *
source_of(const struct chain *c)
{
	return (const struct auth_chain_source *)c->request.source;
}

/* The first from `link` on that is to be asked; its end if there is none. */
static struct conf_auth **
skip_to(struct conf_auth **link, const struct credentials *who)
{
	while (*link != NULL &&
	    (((*link)->source->methods & (unsigned)who->method) == 0 || !conf_auth_covers(*link, who->user)))
		link++;
	return link;
}

/* Nobody knows the user. */
static void
refuse(struct chain *c)
{
	struct auth_answer answer = c->unknown;

	c->unknown = (struct auth_answer){ .outcome = AUTH_REFUSED };
	answer.outcome = AUTH_REFUSED;
	if (answer.reason == NULL)
		answer.reason = mem_strdup("unknown user");
	auth_settle(&c->request, &answer);
}

/* Takes what a source has said, strings included. True when it decides; then the chain may be gone. */
static bool
decide(struct chain *c, const struct auth_answer *answer)
{
	if (answer->outcome != AUTH_UNKNOWN) {
		auth_settle(&c->request, answer);
		return true;
	}
	auth_answer_reset(&c->unknown);
	c->unknown = *answer;
	return false;
}

static void on_answer(void *ctx, const struct auth_answer *told);

/* Asks the sources that are left, until one decides or takes its time. */
static void
go_on(struct chain *c)
{
	const struct auth_chain_source *all = source_of(c);
	const struct auth_question *question = c->request.question;
	const struct credentials *who = question->credentials;
	struct auth_answer answer;

	while (*(c->link = skip_to(c->link, who)) != NULL) {
		const struct conf_source *source = (*c->link++)->source;
		bool is_last = *skip_to(c->link, who) == NULL;

		MUST(source->index < all->count);
		if (!auth_cache_get(all->cache, question, source, loop_now_ms(all->base.loop), &answer)) {
			c->asking = auth_ask_source(all->sources[source->index], question, is_last, on_answer, c);
			return;
		}
		if (decide(c, &answer))
			return;
	}
	refuse(c);
}

/* The answer stays with us: its request would wipe it. */
static void
on_answer(void *ctx, const struct auth_answer *told)
{
	struct chain *c = ctx;
	const struct auth_chain_source *all = source_of(c);
	struct auth_answer answer = *told;

	c->asking->answer = (struct auth_answer){ .outcome = AUTH_UNAVAILABLE };
	if (!c->asking->fleeting)
		auth_cache_put(all->cache, c->request.question, answer.source, loop_now_ms(all->base.loop), &answer);
	c->asking = NULL;
	if (!decide(c, &answer))
		go_on(c);
}

static void
chain_ask(struct auth_request *request)
{
	struct chain *c = (struct chain *)request;

	c->link = request->question->server->auth;
	go_on(c);
}

static void
chain_drop(struct auth_request *request)
{
	struct chain *c = (struct chain *)request;

	auth_cancel(&c->asking);
	auth_answer_reset(&c->unknown);
}

bool
auth_chain_is_waiting(const struct auth_request *request)
{
	const struct chain *c = (const struct chain *)request;

	return c->asking != NULL && c->asking->waiting;
}

/* Nothing is opened, and descriptors are kept by the sources alone: nobody calls the rest. */
const struct auth_source_kind auth_chain = {
	.source_size = sizeof(struct auth_chain_source), .request_size = sizeof(struct chain),
	.ask = chain_ask, .drop = chain_drop,
};

/*
 * auth_passthrough - leaves it to the backend: who gets in there is who they say
 *
 * Behind auth_source.h. Built on: auth_source.
 */
#include "common/mem.h"
#include "worker/auth/auth_source.h"

static void
passthrough_open(struct auth_source *source)
{
	(void)source;
}

static void
passthrough_ask(struct auth_request *request)
{
	const struct auth_question *question = request->question;
	struct auth_answer answer = { .outcome = AUTH_ACCEPTED, .undecided = true };

	/* Whom the client wants to be has to be judged too, and there is no place for it in LOGIN. */
	if (question->credentials->authz != NULL && question->server->proxy_auth == PROXY_AUTH_LOGIN)
		answer = (struct auth_answer){
			.outcome = AUTH_REFUSED, .reason = mem_strdup("AUTH LOGIN cannot say for whom"),
		};
	auth_settle(request, &answer);
}

static void
passthrough_drop(struct auth_request *request)
{
	(void)request;
}

static unsigned
passthrough_idle(const struct auth_source *source)
{
	(void)source;
	return 0;
}

const struct auth_source_kind auth_passthrough = {
	.source_size = sizeof(struct auth_source), .request_size = sizeof(struct auth_request),
	.open = passthrough_open, .close = passthrough_open, .ask = passthrough_ask, .drop = passthrough_drop,
	.idle = passthrough_idle, .shed = passthrough_open,
};

#include "worker/inquiry.h"

#include <string.h>

#include "common/mem.h"
#include "worker/dialogue.h"
#include "worker/entry.h"
#include "worker/gate.h"
#include "worker/handover.h"
#include "worker/proto/smtp_gate.h"
#include "worker/session.h"

static bool
in_gate(const struct session *s)
{
	return s->entry->gate != NULL;
}

/* Says the refusal that stands in the entry. */
static void
refuse(struct session *s)
{
	struct entry *e = s->entry;

	if (in_gate(s))
		gate_answer(s, &e->refusal);
	else
		dialogue_refuse(s, &e->refusal);
}

static void
on_waited(struct loop_timer *timer)
{
	refuse(LIST_ENTRY(timer, struct session, timer));
}

void
inquiry_client_left(struct session *s)
{
	s->entry->refusal.close = true;
	refuse(s);
}

/* Keeps the answer's words: the answer itself goes when the callback returns. */
static void
keep_refusal(struct entry *e, const struct auth_answer *answer)
{
	mem_free(e->refusal_text);
	mem_free(e->refusal_code);
	e->refusal_text = mem_strdup(answer->text);
	e->refusal_code = mem_strdup(answer->code);
	e->refusal = (struct refusal){
		.kind = answer->outcome == AUTH_UNAVAILABLE ? REFUSAL_UNAVAILABLE :
		    answer->text != NULL ? REFUSAL_SOURCE : REFUSAL_WRONG,
		.text = e->refusal_text,
		.code = e->refusal_code,
		.close = answer->close,
	};
}

static void
on_refused(struct session *s, const struct auth_answer *answer)
{
	struct entry *e = s->entry;
	char shown[256];

	keep_refusal(e, answer);
	if (answer->outcome == AUTH_REFUSED) {
		const char *reason = answer->reason != NULL ? answer->reason : answer->text != NULL ? answer->text : "";

		session_log(s, LOG_INFO, "client login failed: \"%s\"",
		    log_text(shown, sizeof(shown), reason, strlen(reason)));
	}
	if (answer->wait_ms == 0 || answer->outcome != AUTH_REFUSED || s->client.hangup) {
		refuse(s);
		return;
	}
	if (!in_gate(s))
		session_enter(s, PHASE_WAIT);
	s->timer.on_time = on_waited;
	loop_timer_set(s->shift->loop, &s->timer, answer->wait_ms);
}

static char *
target_text(const struct auth_answer *answer)
{
	struct upstream_target target = { .host = answer->host, .port = answer->port, .is_unix = answer->is_unix };

	return upstream_target_text(&target);
}

/* Does this recipient live where the session already is? */
static bool
same_target(const struct entry *e, const char *target)
{
	return target == e->target || (target != NULL && e->target != NULL && strcmp(target, e->target) == 0);
}

static void
on_accepted_recipient(struct session *s, const struct auth_answer *answer)
{
	static const struct refusal elsewhere = { .kind = REFUSAL_ELSEWHERE };
	char *target = target_text(answer);
	bool same = same_target(s->entry, target);

	mem_free(target);
	gate_answer(s, same ? NULL : &elsewhere);
}

static void
on_accepted(struct session *s, const struct auth_answer *answer)
{
	struct entry *e = s->entry;
	struct credentials *c = &e->client->credentials;

	if (answer->user != NULL) {
		mem_free_secret(&c->user);
		c->user = mem_strdup(answer->user);
	}
	if (answer->pass != NULL) {
		mem_free_secret(&c->pass);
		c->pass = mem_strdup(answer->pass);
	}
	mem_free(e->target);
	e->target = target_text(answer);
	session_remember(s, c->user, NULL);
	handover_begin(s, answer);
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	struct session *s = ctx;

	s->entry->asking = NULL;
	if (s->phase == PHASE_DEAD)
		return;
	if (answer->outcome != AUTH_ACCEPTED)
		on_refused(s, answer);
	else if (in_gate(s))
		on_accepted_recipient(s, answer);
	else
		on_accepted(s, answer);
}

void
inquiry_begin(struct session *s)
{
	struct entry *e = s->entry;

	e->question = (struct auth_question){
		.server = session_server(s),
		.facts = &e->facts,
		.credentials = in_gate(s) ? smtp_gate_credentials(e->gate) : &e->client->credentials,
		.attempt = ++e->attempt,
		.connection = s->origin.number,
		.origin = &s->origin,
	};
	if (!in_gate(s)) {
		session_enter(s, PHASE_AUTH);
		session_remember(s, e->question.credentials->user, NULL);
	}
	e->asking = auth_ask(s->shift->auth, &e->question, on_answer, s);
}

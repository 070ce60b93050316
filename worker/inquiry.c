#include "worker/inquiry.h"

#include <string.h>

#include "common/mem.h"
#include "worker/entry.h"
#include "worker/session.h"

static void
refuse(struct session *s)
{
	s->entry->waiting = false;
	s->entry->petitioner->refused(s, &s->entry->refusal);
}

static void
on_waited(struct loop_timer *timer)
{
	refuse(LIST_ENTRY(timer, struct session, timer));
}

bool
inquiry_is_pending(const struct session *s)
{
	return s->entry->asking != NULL || s->entry->waiting;
}

void
inquiry_client_left(struct session *s)
{
	struct entry *e = s->entry;

	if (e->waiting) {
		loop_timer_stop(&s->timer);
	} else if (e->asking != NULL && auth_is_waiting(e->asking)) {
		auth_cancel(&e->asking);
		e->refusal = (struct refusal){ .kind = REFUSAL_UNAVAILABLE };
	} else {
		return;
	}
	e->refusal.close = true;
	refuse(s);
}

/* Keeps the answer's words: the answer itself goes when the callback returns. */
static void
keep_refusal(struct entry *e, const struct auth_answer *answer)
{
	mem_free(e->refusal_text);
	mem_free(e->refusal_code);
	mem_free(e->refusal_challenge);
	e->refusal_text = mem_strdup(answer->text);
	e->refusal_code = mem_strdup(answer->code);
	e->refusal_challenge = mem_strdup(answer->challenge);
	e->refusal = (struct refusal){
		.kind = answer->outcome == AUTH_UNAVAILABLE ? REFUSAL_UNAVAILABLE :
		    answer->text != NULL ? REFUSAL_SOURCE : REFUSAL_WRONG,
		.text = e->refusal_text,
		.code = e->refusal_code,
		.close = answer->close,
		.challenge = e->refusal_challenge,
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
	e->waiting = answer->outcome == AUTH_REFUSED && answer->wait_ms > 0;
	if (!e->waiting) {
		refuse(s);
		return;
	}
	s->timer.on_time = on_waited;
	loop_timer_set(s->shift->loop, &s->timer, answer->wait_ms);
	/* Who has sent all its guesses and closed its side shall not have them judged without the silence. */
	if (s->client.hangup)
		inquiry_client_left(s);
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	struct session *s = ctx;

	s->entry->asking = NULL;
	if (answer->outcome == AUTH_ACCEPTED)
		s->entry->petitioner->accepted(s, answer);
	else
		on_refused(s, answer);
}

void
inquiry_begin(struct session *s, const struct credentials *credentials)
{
	struct entry *e = s->entry;

	e->question = (struct auth_question){
		.server = session_server(s),
		.facts = &e->facts,
		.credentials = credentials,
		.attempt = ++e->attempt,
		.connection = s->origin.number,
		.session = e->facts.session,
		.origin = &s->origin,
		.left = &s->client.hangup,
	};
	e->asking = auth_ask(s->shift->auth, &e->question, on_answer, s);
}

#include "worker/inquiry.h"

#include <string.h>
#include <sys/epoll.h>

#include "common/mem.h"
#include "worker/entry.h"
#include "worker/guard.h"
#include "worker/session.h"

#define HELD_BACK_MS 1000       /* at least, of who has failed too often */
#define LOOK_MS 100             /* between two looks whether it may be tried now, or longer */
#define DELAY_MAX_MS 30000      /* of auth_failure_delay, as long as it is not longer itself */

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

void
inquiry_on_client(struct session *s, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		session_end(s);
	else if (s->client.hangup)
		inquiry_client_left(s);
}

static void
replace(char **kept, const char *text)
{
	mem_free(*kept);
	*kept = mem_strdup(text);
}

/* Keeps the refusal with its words: whose they are goes soon. */
static void
keep_refusal(struct entry *e, const struct refusal *why)
{
	replace(&e->refusal_text, why->text);
	replace(&e->refusal_code, why->code);
	replace(&e->refusal_challenge, why->challenge);
	e->refusal = *why;
	e->refusal.text = e->refusal_text;
	e->refusal.code = e->refusal_code;
	e->refusal.challenge = e->refusal_challenge;
}

uint64_t
inquiry_delay_ms(uint64_t first_ms, unsigned refusals)
{
	uint64_t most = first_ms > DELAY_MAX_MS ? first_ms : DELAY_MAX_MS, delay = first_ms;

	for (unsigned i = 0; i < refusals && delay > 0 && delay < most; i++)
		delay *= 2;
	return delay < most ? delay : most;
}

/* What a refused login costs in time. */
static uint64_t
delay_ms(struct session *s)
{
	return inquiry_delay_ms(session_server(s)->auth_failure_delay, s->entry->refusals++);
}

/* The refusal that was kept is said, now or after a silence. */
static void
refuse_in(struct session *s, uint64_t wait_ms)
{
	s->entry->waiting = wait_ms > 0;
	if (wait_ms == 0) {
		refuse(s);
		return;
	}
	s->timer.on_time = on_waited;
	loop_timer_set(s->shift->loop, &s->timer, wait_ms);
	/* Who has sent all its guesses and closed its side shall not have them judged without the silence. */
	if (s->client.hangup)
		inquiry_client_left(s);
}

static void
log_refusal(struct session *s, const struct auth_answer *answer)
{
	const char *reason = answer->reason != NULL ? answer->reason : answer->text != NULL ? answer->text : "";
	char shown[256];

	session_log(s, LOG_INFO, "client login failed: \"%s\"",
	    log_text(shown, sizeof(shown), reason, strlen(reason)));
}

static void
on_refused(struct session *s, const struct auth_answer *answer)
{
	const struct refusal why = {
		.kind = answer->text != NULL ? REFUSAL_SOURCE : REFUSAL_WRONG,
		.text = answer->text, .code = answer->code, .close = answer->close, .challenge = answer->challenge,
	};
	uint64_t wait_ms = answer->wait_ms;

	log_refusal(s, answer);
	keep_refusal(s->entry, &why);
	/* A recipient that is refused is no login. */
	if (s->entry->question.credentials->method != METHOD_NONE) {
		uint64_t own_ms = delay_ms(s);

		wait_ms = wait_ms > own_ms ? wait_ms : own_ms;
	}
	refuse_in(s, wait_ms);
}

static void
on_unavailable(struct session *s, const struct auth_answer *answer)
{
	const struct refusal why = {
		.kind = REFUSAL_UNAVAILABLE,
		.text = answer->text, .code = answer->code, .close = answer->close, .challenge = answer->challenge,
	};

	keep_refusal(s->entry, &why);
	refuse(s);
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	struct session *s = ctx;

	s->entry->asking = NULL;
	s->entry->undecided = answer->undecided;
	if (answer->outcome != AUTH_UNAVAILABLE)
		session_decided(s, answer->source, answer->cached);
	switch (answer->outcome) {
	case AUTH_ACCEPTED:
		/* Whether it was a good login the backend will tell: guard hears of it from there. */
		s->entry->petitioner->accepted(s, answer);
		break;
	case AUTH_REFUSED:
		guard_failed(s);
		on_refused(s, answer);
		break;
	case AUTH_UNAVAILABLE:
	case AUTH_UNKNOWN:
		guard_unsaid(s);
		on_unavailable(s, answer);
		break;
	}
}

static void
ask(struct session *s)
{
	s->entry->asking = auth_ask(s->shift->auth, &s->entry->question, on_answer, s);
}

static void on_held_back(struct loop_timer *timer);

/* A tenth of what is left, so that many who wait for long do not look all the time. */
static void
wait_on(struct session *s)
{
	uint64_t left_ms = s->entry->held_until_ms - loop_now_ms(s->shift->loop);

	s->timer.on_time = on_held_back;
	loop_timer_set(s->shift->loop, &s->timer, left_ms / 10 > LOOK_MS ? left_ms / 10 : LOOK_MS);
}

/* What was charged for others' attempts, perhaps of the same client, may have been taken back meanwhile. */
static void
on_held_back(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	if (guard_admits(s, s->entry->question.credentials)) {
		s->entry->waiting = false;
		ask(s);
	} else if (loop_now_ms(s->shift->loop) >= s->entry->held_until_ms) {
		guard_log(s);
		refuse(s);
	} else {
		wait_on(s);
	}
}

/* Too many have failed: no source is asked, and the no takes its time. */
static void
hold_back(struct session *s)
{
	static const struct refusal limited = { .kind = REFUSAL_LIMITED };
	uint64_t wait_ms = delay_ms(s);

	keep_refusal(s->entry, &limited);
	s->entry->waiting = true;
	s->entry->held_until_ms = loop_now_ms(s->shift->loop) + (wait_ms > HELD_BACK_MS ? wait_ms : HELD_BACK_MS);
	wait_on(s);
	if (s->client.hangup)
		inquiry_client_left(s);
}

static bool
may_speak(const struct session *s)
{
	return s->entry->out.len == 0;
}

static const char *
action(const struct session *s)
{
	(void)s;
	return "in auth state";
}

static const struct phase phase_overruled = {
	.name = "overruled", .action = action, .on_client = inquiry_on_client, .may_speak = may_speak,
};

void
inquiry_overruled(struct session *s, const struct refusal *why)
{
	keep_refusal(s->entry, why);
	guard_failed(s);
	session_enter(s, &phase_overruled);
	refuse_in(s, delay_ms(s));
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
	session_decided(s, NULL, false);
	if (guard_admits(s, credentials))
		ask(s);
	else
		hold_back(s);
}

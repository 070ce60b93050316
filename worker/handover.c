#include "worker/handover.h"

#include <string.h>

#include "common/mem.h"
#include "worker/aim.h"
#include "worker/approach.h"
#include "worker/entry.h"
#include "worker/gate.h"
#include "worker/guard.h"
#include "worker/inquiry.h"
#include "worker/limit.h"
#include "worker/means.h"
#include "worker/relay.h"
#include "worker/session.h"

/* Back to the client: no backend for it now. */
static void
give_up(struct session *s)
{
	static const struct refusal unavailable = { .kind = REFUSAL_UNAVAILABLE };

	s->entry->petitioner->refused(s, &unavailable);
}

/* So many are in already. */
static void
turn_away(struct session *s)
{
	static const struct refusal crowded = { .kind = REFUSAL_CROWDED };

	s->entry->petitioner->refused(s, &crowded);
}

static void
strip_controls(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++)
		if ((unsigned char)*from >= ' ' && *from != 0x7f)
			*to++ = *from;
	*to = '\0';
}

/* May the backend's words go to the client? Not where they repeat a password, which it may never have had. */
static bool
may_pass(const struct session *s, const char *reply)
{
	const struct entry *e = s->entry;
	/* An answer to MAIL is about the mail: what its sender does next depends on the code. */
	bool wanted = session_server(s)->proxy_pass_error_message || e->client->credentials.method == METHOD_NONE;

	return wanted && reply[0] != '\0' && !login_repeats_password(e->login, reply, strlen(reply));
}

/*
 * The backend's no to what the client has shown is the source's, whatever that has said. Without
 * words of the backend, ours are those for a wrong password.
 */
static void
overrule(struct session *s, struct refusal *refusal)
{
	if (refusal->text == NULL)
		refusal->kind = REFUSAL_WRONG;
	inquiry_overruled(s, refusal);
}

/* What the source has said a moment ago may be out of date: a password, or where the user's mail lives. */
static void
doubt_cache(struct session *s)
{
	if (s->entry->cached)
		auth_forget(s->shift->auth, session_server(s), &s->entry->trace);
	s->entry->cached = false;
}

/* Back to the client with the backend's own words, or those that we have for this kind. */
static void
answer_client(struct session *s, enum refusal_kind kind)
{
	struct entry *e = s->entry;
	struct refusal refusal = { .kind = kind };
	char *reply = mem_strndup(e->login->reply.len > 0 ? buf_head(&e->login->reply) : "", e->login->reply.len);
	char shown[256];

	reply[strcspn(reply, "\r\n")] = '\0';
	if (kind == REFUSAL_BACKEND) {
		session_log(s, LOG_INFO, "client login failed: \"%s\"",
		    login_excerpt(e->login, shown, sizeof(shown), reply, strlen(reply)));
		doubt_cache(s);
	}
	if (may_pass(s, reply)) {
		strip_controls(reply);
		refusal = (struct refusal){ .kind = REFUSAL_BACKEND, .text = reply,
		    .temporary = kind == REFUSAL_UNAVAILABLE };
	}
	approach_leave(s);
	if (kind == REFUSAL_BACKEND && e->task.means.is_own)
		overrule(s, &refusal);
	else
		e->petitioner->refused(s, &refusal);
	mem_free_secret(&reply);
}

/* In. From here on the client speaks with its backend. */
static void
let_in(struct session *s)
{
	struct entry *e = s->entry;
	bool gated = e->client->credentials.method == METHOD_NONE;

	guard_succeeded(s);
	e->client->proto->accepted(e->client, &e->login->reply, &e->out);
	SHIFT_COUNT(s->shift, logins, 1);
	SHIFT_COUNT(s->shift, logged_in, 1);
	session_event(s, "client logged in");
	if (gated)
		gate_begin(s);
	else
		relay_begin(s);
}

static bool
is_same_secret(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strlen(b) == len && mem_same_secret(a, b, len);
}

/* What the source put in the place of what the client sent. A password that it only repeats stays the client's. */
static void
override_credentials(struct credentials *c, const struct auth_answer *answer)
{
	c->replaced = answer->pass != NULL && (c->pass == NULL || !is_same_secret(c->pass, answer->pass));
	if (answer->user != NULL) {
		mem_free_secret(&c->user);
		c->user = mem_strdup(answer->user);
	}
	if (c->replaced) {
		mem_free_secret(&c->pass);
		c->pass = mem_strdup(answer->pass);
	}
}

/* Decides about TLS. The source may ask for more than the configuration, never for less. False: it cannot be had. */
static bool
choose_ssl(struct session *s, const struct auth_answer *answer)
{
	const struct server *server = session_server(s);
	struct entry *e = s->entry;

	e->ssl = aim_ssl(s, answer);
	mem_free(e->ssl_name);
	e->ssl_name = mem_strdup(answer->ssl_name);
	if (e->ssl == PROXY_SSL_OFF && server->proxy_ssl != PROXY_SSL_OFF) {
		session_log(s, LOG_ERROR, "the source wants no TLS to the upstream, but \"proxy_ssl\" does");
		return false;
	}
	if (e->ssl != PROXY_SSL_OFF && server->proxy_tls.context == NULL) {
		session_log(s, LOG_ERROR,
		    "the source wants TLS to the upstream, but there are no certificates to trust");
		return false;
	}
	return true;
}

/* How to log in, once it is known where. False: there is no way. */
static bool
choose_means(struct session *s, const struct auth_answer *answer)
{
	const struct server *server = session_server(s);
	struct entry *e = s->entry;

	e->task = (struct login_task){
		.facts = &e->facts,
		.client = e->client,
		.starttls = e->ssl == PROXY_SSL_STARTTLS,
		.credentials = &e->client->credentials,
		.means = means_choose(server, &e->client->credentials, answer),
	};
	if (means_lack(server, &e->task.means)) {
		session_log(s, LOG_ERROR, "no password available");
		return false;
	}
	return true;
}

static const struct approach_ends ends = { .let_in = let_in, .refused = answer_client, .in_vain = give_up };

void
handover_begin(struct session *s, const struct auth_answer *answer)
{
	const struct server *server = session_server(s);
	struct entry *e = s->entry;
	struct upstream_target target = {
		.host = answer->host,
		.port = aim_port(s, answer),
		.is_unix = answer->is_unix,
		.proxy_pass = server->proxy_pass,
	};

	e->connected = session_destination(s);
	e->facts.connected = &e->connected;
	e->cached = answer->cached;
	e->trace = answer->trace;
	override_credentials(&e->client->credentials, answer);
	mem_free(e->target);
	e->target = upstream_target_text(&target);
	mem_free(e->host);
	e->host = mem_strdup(answer->host);
	session_remember(s, e->client->credentials.user, NULL);
	if (!limit_login(s, e->client->credentials.user, answer)) {
		turn_away(s);
		return;
	}
	approach_begin(s, &ends);
	if (target.host == NULL && target.proxy_pass == NULL) {
		session_log(s, LOG_ERROR, "no backend is named for this user, nor is there a \"proxy_pass\"");
		give_up(s);
		return;
	}
	if (!choose_ssl(s, answer) || !choose_means(s, answer)) {
		give_up(s);
		return;
	}
	if (!e->task.means.is_own)
		guard_cleared(s);
	approach_find(s, &target);
}

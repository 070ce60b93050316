#include "worker/proto/sasl.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/bearer.h"

#define DIGEST 32       /* hexadecimal digits of an MD5 */
#define STEPS 2
#define ERROR_MAX (PROTO_ROOM / 2)      /* bytes of a source's error challenge that are passed on */

/* Reads one decoded response, which it may change, into *out. NULL, or what was wrong with it. */
typedef const char *reader(struct sasl *s, char *bytes, size_t len, struct credentials *out);

static reader read_plain, read_user, read_pass, read_cram, read_external, read_xoauth2, read_oauthbearer;

static const struct mechanism {
	enum method method;
	const char *name;
	const char *challenges[STEPS];  /* base64; NULL: the salt */
	reader *read[STEPS];
	const char *error;              /* what a refused client is told before the refusal; NULL: nothing */
} mechanisms[] = {
	{ METHOD_PLAIN, "PLAIN", { "" }, { read_plain }, NULL },
	{ METHOD_LOGIN, "LOGIN", { "VXNlcm5hbWU6", "UGFzc3dvcmQ6" }, { read_user, read_pass }, NULL },
	{ METHOD_CRAM_MD5, "CRAM-MD5", { NULL }, { read_cram }, NULL },
	{ METHOD_EXTERNAL, "EXTERNAL", { "VXNlcm5hbWU6" }, { read_external }, NULL },
	{ METHOD_XOAUTH2, "XOAUTH2", { "" }, { read_xoauth2 },
	    "{\"status\":\"401\",\"schemes\":\"bearer\"}" },
	{ METHOD_OAUTHBEARER, "OAUTHBEARER", { "" }, { read_oauthbearer },
	    "{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}" },
};

#define MECHANISMS (sizeof(mechanisms) / sizeof(mechanisms[0]))

static const struct mechanism *
find(enum method method)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (mechanisms[i].method == method)
			return &mechanisms[i];
	return NULL;
}

int
sasl_list(struct buf *out, unsigned methods, const char *before, const char *after)
{
	int failed = 0;

	for (size_t i = 0; i < MECHANISMS; i++)
		if ((methods & mechanisms[i].method) != 0)
			failed |= buf_printf(out, "%s%s%s", before, mechanisms[i].name, after);
	return failed;
}

enum method
sasl_mechanism(const char *name, size_t len, unsigned allowed)
{
	if (allowed & (METHOD_PLAIN | METHOD_LOGIN))
		allowed |= METHOD_PLAIN | METHOD_LOGIN;
	for (size_t i = 0; i < MECHANISMS; i++) {
		const struct mechanism *m = &mechanisms[i];

		if ((allowed & m->method) != 0 && strlen(m->name) == len && strncasecmp(m->name, name, len) == 0)
			return m->method;
	}
	return 0;
}

bool
sasl_text_ok(const char *text, size_t len, size_t max_len, bool may_be_empty)
{
	if (len == 0)
		return may_be_empty;
	return len <= max_len && memchr(text, '\r', len) == NULL && memchr(text, '\n', len) == NULL &&
	    memchr(text, '\0', len) == NULL;
}

/* Keeps a text that may be a credential. */
static bool
keep(struct sasl *s, char **to, const char *text, size_t len, size_t max_len, bool may_be_empty)
{
	if (!sasl_text_ok(text, len, max_len, may_be_empty)) {
		s->answer = "invalid credentials";
		return false;
	}
	*to = mem_strndup(text, len);
	return true;
}

static const char *
read_user(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->user, bytes, len, PROTO_USER_MAX, false) ? NULL : "invalid login";
}

static const char *
read_pass(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->pass, bytes, len, PROTO_PASS_MAX, true) ? NULL : "invalid password";
}

/* authorization identity, NUL, user, NUL, password: RFC 4616 section 2. */
static const char *
read_plain(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	char *end = bytes + len, *user = memchr(bytes, '\0', len);
	char *pass = user == NULL ? NULL : memchr(user + 1, '\0', (size_t)(end - user - 1));
	size_t authz_len, user_len;

	if (user == NULL)
		return "invalid login";
	if (pass == NULL)
		return "invalid password";
	authz_len = (size_t)(user++ - bytes);
	user_len = (size_t)(pass++ - user);
	if (read_user(s, user, user_len, out) != NULL)
		return "invalid login";
	if (read_pass(s, pass, (size_t)(end - pass), out) != NULL)
		return "invalid password";
	if (authz_len == 0 || (authz_len == user_len && memcmp(bytes, user, user_len) == 0))
		return NULL;
	return keep(s, &out->authz, bytes, authz_len, PROTO_USER_MAX, false) ? NULL : "invalid authorization identity";
}

/* The user name may hold blanks: the digest stands behind the last one. */
static const char *
read_cram(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	const char *blank = memrchr(bytes, ' ', len), *digest;

	if (blank == NULL || (size_t)(bytes + len - blank) != 1 + DIGEST)
		return "invalid CRAM-MD5 hash";
	digest = blank + 1;
	for (size_t i = 0; i < DIGEST; i++)
		if (!isxdigit((unsigned char)digest[i]))
			return "invalid CRAM-MD5 hash";
	out->pass = mem_strndup(digest, DIGEST);
	return read_user(s, bytes, (size_t)(blank - bytes), out);
}

/* An authorization identity, or nothing: the certificate says who it is (RFC 4422 appendix A.1). */
static const char *
read_external(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->user, bytes, len, PROTO_USER_MAX, true) ? NULL : "invalid login";
}

static const char *
keep_bearer(struct sasl *s, const struct bearer *b, struct credentials *out)
{
	if (!keep(s, &out->user, b->user, b->user_len, PROTO_USER_MAX, s->method == METHOD_OAUTHBEARER))
		return "invalid login";
	if (bearer_is_token(b->token, b->token_len) &&
	    keep(s, &out->pass, b->token, b->token_len, PROTO_PASS_MAX, false))
		return NULL;
	s->answer = "invalid credentials";
	return "invalid token";
}

static const char *
read_xoauth2(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	struct bearer b;
	const char *wrong = bearer_read_xoauth2(&b, bytes, len);

	return wrong != NULL ? wrong : keep_bearer(s, &b, out);
}

static const char *
read_oauthbearer(struct sasl *s, char *bytes, size_t len, struct credentials *out)
{
	struct bearer b;
	const char *wrong = bearer_read_oauthbearer(&b, bytes, len);

	return wrong != NULL ? wrong : keep_bearer(s, &b, out);
}

static enum sasl_verdict
fail(struct sasl *s, const char *what, struct credentials *out, char note[PROTO_NOTE])
{
	note_set(note, "client sent %s in AUTH %s command", what, find(s->method)->name);
	credentials_reset(out);
	s->method = 0;
	return SASL_BAD;
}

static void
encode_challenge(struct sasl *s, const char *text, size_t len)
{
	MUST(BASE64_ENCODED(len) < sizeof(s->challenge));
	s->challenge[base64_encode(s->challenge, text, len)] = '\0';
}

static enum sasl_verdict
ask(struct sasl *s, const struct facts *facts)
{
	const char *text = find(s->method)->challenges[s->step];

	if (text != NULL) {
		strcpy(s->challenge, text);
	} else {
		MUST(facts->salt[0] != '\0');
		encode_challenge(s, facts->salt, strnlen(facts->salt, sizeof(facts->salt)));
	}
	return SASL_CHALLENGE;
}

/* Has the client said all that its mechanism has to say? */
static bool
is_over(const struct sasl *s)
{
	return s->step == STEPS || find(s->method)->read[s->step] == NULL;
}

/* What the source hears: LOGIN is PLAIN in two steps. */
static enum sasl_verdict
done(struct sasl *s, struct credentials *out)
{
	out->method = s->method == METHOD_LOGIN ? METHOD_PLAIN : s->method;
	s->judged = find(s->method)->error != NULL ? s->method : 0;
	s->method = 0;
	return SASL_DONE;
}

static enum sasl_verdict
respond(struct sasl *s, const char *line, size_t len, const struct facts *facts, struct credentials *out,
    char note[PROTO_NOTE])
{
	const struct mechanism *m = find(s->method);
	size_t room = BASE64_DECODED(len);
	char *bytes = mem_alloc(room);
	ssize_t count = base64_decode(bytes, line, len);
	const char *wrong = "invalid base64 encoding";

	s->answer = "invalid command";
	if (count >= 0)
		wrong = m->read[s->step](s, bytes, (size_t)count, out);
	mem_wipe(bytes, room);
	mem_free(bytes);
	if (wrong != NULL)
		return fail(s, wrong, out, note);
	s->step++;
	return is_over(s) ? done(s, out) : ask(s, facts);
}

enum sasl_verdict
sasl_start(struct sasl *s, enum method method, const char *initial, size_t len, const struct facts *facts,
    struct credentials *out, char note[PROTO_NOTE])
{
	MUST(find(method) != NULL);
	sasl_reset(s);
	s->method = method;
	s->answer = "invalid command";
	credentials_reset(out);
	if (initial == NULL)
		return ask(s, facts);
	if (method == METHOD_CRAM_MD5)          /* it answers a challenge that there was not */
		return fail(s, "an initial response", out, note);
	if (len == 1 && *initial == '=')
		len = 0;
	return respond(s, initial, len, facts, out, note);
}

enum sasl_verdict
sasl_step(struct sasl *s, const char *line, size_t len, const struct facts *facts, struct credentials *out,
    char note[PROTO_NOTE])
{
	MUST(s->method != 0);
	if (is_over(s))
		return SASL_REFUSED;
	if (len == 1 && *line == '*') {
		credentials_reset(out);
		s->method = 0;
		return SASL_CANCELLED;
	}
	return respond(s, line, len, facts, out, note);
}

/* A source's error challenge will do if it is base64 of something, in one line and not too long. */
static bool
will_do(const char *challenge)
{
	size_t len = challenge == NULL ? 0 : strnlen(challenge, ERROR_MAX + 1);
	char bytes[BASE64_DECODED(ERROR_MAX)];

	return len > 0 && len <= ERROR_MAX && base64_decode(bytes, challenge, len) > 0;
}

/* Nobody has said that the token does not hold. */
static bool
is_temporary(const struct refusal *why)
{
	switch (why->kind) {
	case REFUSAL_UNAVAILABLE:
	case REFUSAL_LIMITED:
	case REFUSAL_CROWDED:
	case REFUSAL_ELSEWHERE:
		return true;
	case REFUSAL_SOURCE:
	case REFUSAL_WRONG:
	case REFUSAL_BACKEND:
		break;
	}
	return why->temporary;
}

const char *
sasl_refused(struct sasl *s, const struct refusal *why)
{
	enum method method = s->judged;

	s->judged = 0;
	if (method == 0 || is_temporary(why))
		return NULL;
	s->method = method;
	s->close = why->close;
	buf_init(&s->refusal, PROTO_ROOM);
	if (will_do(why->challenge))
		return why->challenge;
	encode_challenge(s, find(method)->error, strlen(find(method)->error));
	return s->challenge;
}

enum proto_verdict
sasl_say_refusal(struct sasl *s, struct buf *out)
{
	bool close = buf_add(out, buf_head(&s->refusal), s->refusal.len) == -1 || s->close;

	sasl_reset(s);
	return close ? PROTO_CLOSE : PROTO_AGAIN;
}

void
sasl_reset(struct sasl *s)
{
	buf_reset(&s->refusal);
	*s = (struct sasl){ .method = 0 };
}

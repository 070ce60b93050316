#include "worker/proto/sasl.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/must.h"

#define DIGEST 32       /* hexadecimal digits of an MD5 */
#define STEPS 2

/* Reads one decoded response into *out. NULL, or what was wrong with it. */
typedef const char *reader(struct sasl *s, const char *bytes, size_t len, struct credentials *out);

static reader read_plain, read_user, read_pass, read_cram, read_external;

static const struct mechanism {
	enum method method;
	const char *name;
	const char *challenges[STEPS];  /* base64; NULL: the salt */
	reader *read[STEPS];
} mechanisms[] = {
	{ METHOD_PLAIN, "PLAIN", { "" }, { read_plain } },
	{ METHOD_LOGIN, "LOGIN", { "VXNlcm5hbWU6", "UGFzc3dvcmQ6" }, { read_user, read_pass } },
	{ METHOD_CRAM_MD5, "CRAM-MD5", { NULL }, { read_cram } },
	{ METHOD_EXTERNAL, "EXTERNAL", { "VXNlcm5hbWU6" }, { read_external } },
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

const char *
sasl_name(enum method method)
{
	const struct mechanism *m = find(method);

	return m == NULL ? NULL : m->name;
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
read_user(struct sasl *s, const char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->user, bytes, len, PROTO_USER_MAX, false) ? NULL : "invalid login";
}

static const char *
read_pass(struct sasl *s, const char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->pass, bytes, len, PROTO_PASS_MAX, true) ? NULL : "invalid password";
}

/* authorization identity, NUL, user, NUL, password: RFC 4616 section 2. */
static const char *
read_plain(struct sasl *s, const char *bytes, size_t len, struct credentials *out)
{
	const char *end = bytes + len, *user = memchr(bytes, '\0', len);
	const char *pass = user == NULL ? NULL : memchr(user + 1, '\0', (size_t)(end - user - 1));
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
read_cram(struct sasl *s, const char *bytes, size_t len, struct credentials *out)
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
read_external(struct sasl *s, const char *bytes, size_t len, struct credentials *out)
{
	return keep(s, &out->user, bytes, len, PROTO_USER_MAX, true) ? NULL : "invalid login";
}

static enum sasl_verdict
fail(struct sasl *s, const char *what, struct credentials *out, char note[PROTO_NOTE])
{
	note_set(note, "client sent %s in AUTH %s command", what, sasl_name(s->method));
	credentials_reset(out);
	s->method = 0;
	return SASL_BAD;
}

static enum sasl_verdict
ask(struct sasl *s, const struct facts *facts)
{
	const char *text = find(s->method)->challenges[s->step];
	size_t len;

	if (text != NULL) {
		len = strlen(text);
		memcpy(s->challenge, text, len);
	} else {
		MUST(facts->salt[0] != '\0');
		len = base64_encode(s->challenge, facts->salt, strnlen(facts->salt, sizeof(facts->salt)));
	}
	s->challenge[len] = '\0';
	return SASL_CHALLENGE;
}

/* What the source hears: LOGIN is PLAIN in two steps. */
static enum sasl_verdict
done(struct sasl *s, struct credentials *out)
{
	out->method = s->method == METHOD_LOGIN ? METHOD_PLAIN : s->method;
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
	if (s->step == STEPS || m->read[s->step] == NULL)
		return done(s, out);
	return ask(s, facts);
}

enum sasl_verdict
sasl_start(struct sasl *s, enum method method, const char *initial, size_t len, const struct facts *facts,
    struct credentials *out, char note[PROTO_NOTE])
{
	MUST(find(method) != NULL);
	*s = (struct sasl){ .method = method, .answer = "invalid command" };
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
	if (len == 1 && *line == '*') {
		credentials_reset(out);
		s->method = 0;
		return SASL_CANCELLED;
	}
	return respond(s, line, len, facts, out, note);
}

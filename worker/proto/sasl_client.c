#include "worker/proto/sasl_client.h"

#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/bearer.h"
#include "worker/proto/sasl.h"

#define RESPONSE_MAX (2 * PROTO_USER_MAX * 3 + PROTO_PASS_MAX + 64)     /* every byte of a name may be escaped */
#define TOLD (1u << PROXY_AUTH_AUTO)    /* in an offer: the backend has said what it has */

/* Appends a response as it is before base64. Returns 0, or -1 if it does not fit. */
typedef int composer(const struct login_means *means, struct buf *out);

static composer compose_plain, compose_user, compose_pass, compose_xoauth2, compose_bearer, compose_external,
    compose_nothing, compose_stop;

static const struct {
	const char *name;
	composer *steps[2];
	composer *on_error;     /* what answers an error challenge; NULL: this mechanism has none */
} mechanisms[] = {
	[PROXY_AUTH_PLAIN]       = { "PLAIN", { compose_plain }, NULL },
	[PROXY_AUTH_LOGIN]       = { "LOGIN", { compose_user, compose_pass }, NULL },
	[PROXY_AUTH_XOAUTH2]     = { "XOAUTH2", { compose_xoauth2 }, compose_nothing },
	[PROXY_AUTH_OAUTHBEARER] = { "OAUTHBEARER", { compose_bearer }, compose_stop },
	[PROXY_AUTH_EXTERNAL]    = { "EXTERNAL", { compose_external }, NULL },
	[PROXY_AUTH_NONE]        = { NULL, { NULL }, NULL },
};

#define MECHANISMS (sizeof(mechanisms) / sizeof(mechanisms[0]))

const char *
sasl_client_name(enum proxy_auth how)
{
	return mechanisms[how].name;
}

void
sasl_client_read_offer(unsigned *offered, const char *words, size_t len)
{
	*offered |= TOLD;
	for (const char *word = words, *end = words + len; word < end;) {
		const char *blank = memchr(word, ' ', (size_t)(end - word));
		size_t word_len = (size_t)((blank != NULL ? blank : end) - word);

		for (size_t i = 0; i < MECHANISMS; i++)
			if (mechanisms[i].name != NULL && strlen(mechanisms[i].name) == word_len &&
			    strncasecmp(mechanisms[i].name, word, word_len) == 0)
				*offered |= 1u << i;
		word += word_len + 1;
	}
}

static bool
is_offered(unsigned offered, enum proxy_auth how)
{
	return offered == 0 || (offered & 1u << how) != 0;
}

/* The first of two that is offered. */
static enum proxy_auth
either(unsigned offered, enum proxy_auth first, enum proxy_auth second)
{
	return is_offered(offered, first) ? first : is_offered(offered, second) ? second : PROXY_AUTH_NONE;
}

enum proxy_auth
sasl_client_choose(const struct login_means *means, unsigned offered)
{
	if (means->how != PROXY_AUTH_AUTO)
		return either(offered, means->how, means->how);
	if (means->is_token)
		return means->method == METHOD_OAUTHBEARER ?
		    either(offered, PROXY_AUTH_OAUTHBEARER, PROXY_AUTH_XOAUTH2) :
		    either(offered, PROXY_AUTH_XOAUTH2, PROXY_AUTH_OAUTHBEARER);
	return either(offered, PROXY_AUTH_PLAIN, means->authz == NULL ? PROXY_AUTH_LOGIN : PROXY_AUTH_PLAIN);
}

static bool
is_token(const char *text)
{
	size_t len = strlen(text);

	return len <= PROTO_PASS_MAX && bearer_is_token(text, len);
}

static bool
is_user(const char *text, bool may_be_empty)
{
	return sasl_text_ok(text, strlen(text), PROTO_USER_MAX, may_be_empty);
}

/* In the mechanisms of tokens ^A ends a field. */
static bool
may_stand_in_field(const char *user)
{
	return strchr(user, '\1') == NULL;
}

const char *
sasl_client_judge(const struct login_means *means, enum proxy_auth how)
{
	bool bearer = how == PROXY_AUTH_XOAUTH2 || how == PROXY_AUTH_OAUTHBEARER;
	bool may_be_empty = how == PROXY_AUTH_EXTERNAL || how == PROXY_AUTH_OAUTHBEARER;

	if (means->pass == NULL && how != PROXY_AUTH_EXTERNAL && how != PROXY_AUTH_NONE)
		return "no password available";
	if (means->user == NULL || !is_user(means->user, may_be_empty) ||
	    (means->authz != NULL && !is_user(means->authz, true)))
		return "invalid credentials for upstream";
	if (bearer && !(is_token(means->pass) && may_stand_in_field(means->user)))
		return "invalid token for upstream";
	if (!bearer && means->pass != NULL && !sasl_text_ok(means->pass, strlen(means->pass), PROTO_PASS_MAX, true))
		return "invalid credentials for upstream";
	return NULL;
}

void
sasl_client_init(struct sasl_client *c, const struct login_means *means, enum proxy_auth how)
{
	MUST(how > PROXY_AUTH_AUTO && how < PROXY_AUTH_NONE);
	*c = (struct sasl_client){ .means = means, .how = how };
}

static unsigned
step_count(const struct sasl_client *c)
{
	return mechanisms[c->how].steps[1] == NULL ? 1 : 2;
}

bool
sasl_client_is_done(const struct sasl_client *c)
{
	return c->step == step_count(c);
}

/* A text and its NUL. */
static int
add_field(struct buf *out, const char *text)
{
	return buf_add(out, text, strlen(text) + 1);
}

static int
compose_plain(const struct login_means *means, struct buf *out)
{
	return add_field(out, means->authz != NULL ? means->authz : "") | add_field(out, means->user) |
	    buf_add_text(out, means->pass);
}

static int
compose_user(const struct login_means *means, struct buf *out)
{
	return buf_add_text(out, means->user);
}

static int
compose_pass(const struct login_means *means, struct buf *out)
{
	return buf_add_text(out, means->pass);
}

static int
add_bearer(const struct login_means *means, struct buf *out)
{
	return buf_printf(out, "\1auth=Bearer %s\1\1", means->pass);
}

static int
compose_xoauth2(const struct login_means *means, struct buf *out)
{
	return buf_printf(out, "user=%s", means->user) | add_bearer(means, out);
}

/* As a saslname: "," and "=" are written "=2C" and "=3D" (RFC 5801 section 4). */
static int
add_saslname(struct buf *out, const char *name)
{
	int failed = 0;

	for (size_t len; *name != '\0'; name += len) {
		len = strcspn(name, ",=");
		failed |= buf_add(out, name, len);
		if (name[len] == '\0')
			continue;
		failed |= buf_add_text(out, name[len] == ',' ? "=2C" : "=3D");
		len++;
	}
	return failed;
}

static int
compose_bearer(const struct login_means *means, struct buf *out)
{
	return buf_add_text(out, means->user[0] != '\0' ? "n,a=" : "n,") | add_saslname(out, means->user) |
	    buf_add_text(out, ",") | add_bearer(means, out);
}

/* Whom we want to be: the certificate says who we are. */
static int
compose_external(const struct login_means *means, struct buf *out)
{
	return buf_add_text(out, means->authz != NULL ? means->authz : means->user);
}

static int
compose_nothing(const struct login_means *means, struct buf *out)
{
	(void)means, (void)out;
	return 0;
}

static int
compose_stop(const struct login_means *means, struct buf *out)
{
	(void)means;
	return buf_add_text(out, "\1");
}

static int
add_base64(struct buf *out, const struct buf *bytes)
{
	size_t len = BASE64_ENCODED(bytes->len);
	char *room = buf_room(out, len > 0 ? len : 1);

	if (room == NULL)
		return -1;
	buf_added(out, base64_encode(room, buf_head(bytes), bytes->len));
	return 0;
}

/* What is said next: a step, then the end of an error challenge, then nothing. */
static composer *
next(const struct sasl_client *c)
{
	unsigned count = step_count(c);

	if (c->step < count)
		return mechanisms[c->how].steps[c->step];
	return c->step == count ? mechanisms[c->how].on_error : NULL;
}

bool
sasl_client_goes_first(const struct sasl_client *c, size_t max_len)
{
	struct buf bytes;
	bool fits;

	buf_init(&bytes, RESPONSE_MAX);
	fits = c->how != PROXY_AUTH_LOGIN && next(c)(c->means, &bytes) == 0 && BASE64_ENCODED(bytes.len) <= max_len;
	buf_reset(&bytes);
	return fits;
}

const char *
sasl_client_respond(struct sasl_client *c, struct buf *out)
{
	composer *compose = next(c);
	struct buf bytes;
	int failed;

	if (compose == NULL)
		return "asked for more than the mechanism has";
	buf_init(&bytes, RESPONSE_MAX);
	failed = compose(c->means, &bytes) | add_base64(out, &bytes);
	if (failed == 0 && bytes.len == 0 && c->step == 0)
		failed = buf_add_text(out, "=");
	buf_reset(&bytes);
	if (failed != 0)
		return "response does not fit";
	c->step++;
	return NULL;
}

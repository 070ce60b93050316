#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/proto/bearer.h"
#include "worker/proto/sasl.h"

static bool
holds_only_text(const char *text, size_t max_len, bool may_be_empty)
{
	return text == NULL || sasl_text_ok(text, strlen(text), max_len, may_be_empty);
}

/* An exchange ends with credentials that are fit to be sent, or with none. */
static void
check_end(enum sasl_verdict verdict, const struct sasl *s, const struct credentials *c, const char *note)
{
	MUST(s->method == 0);
	if (verdict != SASL_DONE) {
		MUST(c->user == NULL && c->pass == NULL && c->authz == NULL);
		MUST(verdict == SASL_CANCELLED || (note[0] != '\0' && s->answer != NULL));
		return;
	}
	MUST(c->user != NULL && (c->pass != NULL || c->method == METHOD_EXTERNAL));
	MUST(holds_only_text(c->user, PROTO_USER_MAX, c->method == METHOD_EXTERNAL || c->method == METHOD_OAUTHBEARER));
	MUST(holds_only_text(c->authz, PROTO_USER_MAX, false));
	MUST(holds_only_text(c->pass, PROTO_PASS_MAX, true));
	MUST((c->method & METHODS_TOKEN) == 0 || bearer_is_token(c->pass, strlen(c->pass)));
}

/* Only a token has an error challenge, and a line ends it. */
static void
check_refusal(struct sasl *s, enum method method, const struct facts *facts)
{
	static const struct refusal wrong = { .kind = REFUSAL_WRONG };
	struct credentials c = { .user = NULL };
	const char *challenge = sasl_refused(s, &wrong);
	char note[PROTO_NOTE] = "";
	struct buf out;

	MUST((challenge != NULL) == ((method & METHODS_TOKEN) != 0));
	if (challenge == NULL)
		return;
	buf_init(&out, PROTO_ROOM);
	MUST(sasl_step(s, "*", 1, facts, &c, note) == SASL_REFUSED);
	MUST(sasl_say_refusal(s, &out) == PROTO_AGAIN && s->method == 0);
	buf_reset(&out);
}

/* Each line is what the client says next; "-" as the first is no initial response. */
static void
try_exchange(enum method method, const char *text, size_t len)
{
	static const struct facts facts = { .salt = "<1.2@mx.example>" };
	struct credentials c = { .user = NULL };
	struct sasl s = { .method = 0 };
	char note[PROTO_NOTE] = "";
	enum sasl_verdict verdict = SASL_CHALLENGE;

	for (const char *end = text + len; verdict == SASL_CHALLENGE && text < end;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((stop != NULL ? stop : end) - text);
		const char *initial = line_len == 1 && *text == '-' ? NULL : text;

		verdict = s.method != 0 ? sasl_step(&s, text, line_len, &facts, &c, note) :
		    sasl_start(&s, method, initial, line_len, &facts, &c, note);
		text += line_len + (stop != NULL);
	}
	if (verdict != SASL_CHALLENGE)
		check_end(verdict, &s, &c, note);
	if (verdict == SASL_DONE)
		check_refusal(&s, method, &facts);
	credentials_reset(&c);
	sasl_reset(&s);
}

/* What a message is said to hold lies within it; `data` is taken as it is before base64. */
static void
try_message(bool oauthbearer, const uint8_t *data, size_t size)
{
	char *bytes = mem_alloc(size + 1);
	struct bearer b;
	const char *wrong;

	memcpy(bytes, data, size);
	wrong = oauthbearer ? bearer_read_oauthbearer(&b, bytes, size) : bearer_read_xoauth2(&b, bytes, size);
	if (wrong == NULL) {
		MUST(b.user_len == 0 || (b.user >= bytes && b.user + b.user_len < bytes + size));
		MUST(b.token >= bytes && b.token + b.token_len < bytes + size);
	}
	mem_free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum method methods[] = { METHOD_PLAIN, METHOD_LOGIN, METHOD_CRAM_MD5, METHOD_EXTERNAL,
		METHOD_XOAUTH2, METHOD_OAUTHBEARER };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		try_exchange(methods[i], (const char *)data, size);
	try_message(false, data, size);
	try_message(true, data, size);
	return 0;
}

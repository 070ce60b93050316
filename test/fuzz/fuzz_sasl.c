#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
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
	MUST(holds_only_text(c->user, PROTO_USER_MAX, c->method == METHOD_EXTERNAL));
	MUST(holds_only_text(c->authz, PROTO_USER_MAX, false));
	MUST(holds_only_text(c->pass, PROTO_PASS_MAX, true));
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
	credentials_reset(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum method methods[] = { METHOD_PLAIN, METHOD_LOGIN, METHOD_CRAM_MD5, METHOD_EXTERNAL };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		try_exchange(methods[i], (const char *)data, size);
	return 0;
}

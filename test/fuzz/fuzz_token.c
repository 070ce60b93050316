#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/token.h"
#include "test/fuzz/fuzz.h"

/* Whoever is let in has a name that can be one, and a reason is there for everybody else. */
static void
judge(const struct conf_token *want, const json_t *claims, bool must_expire)
{
	const struct token_question question = { .now_ms = 1000, .must_expire = must_expire };
	struct token_finding finding;
	enum token_verdict verdict = token_judge(want, claims, &question, &finding);

	MUST((verdict == TOKEN_ACCEPTED) == (finding.reason == NULL));
	MUST((verdict == TOKEN_ACCEPTED) == (finding.user != NULL));
	MUST(verdict != TOKEN_ACCEPTED || token_issuer_fits(want, claims));
	MUST(verdict != TOKEN_ACCEPTED || !must_expire || finding.good_ms > 0);
	if (finding.user != NULL) {
		MUST(finding.user[0] != '\0' && strlen(finding.user) <= TOKEN_USER_MAX);
		MUST(strpbrk(finding.user, "\r\n\t\x7f") == NULL && token_same_user(finding.user, finding.user));
	}
	mem_free(finding.user);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *audiences[] = { "a", NULL }, *scopes[] = { "x", NULL };
	static const struct conf_token strict = {
		.issuer = "joe", .audiences = audiences, .scopes = scopes, .claim = "email", .leeway = 60000,
	};
	static const struct conf_token lax = { .claim = "sub" };
	json_t *claims = token_parse((const char *)data, size);

	if (claims != NULL) {
		judge(&strict, claims, true);
		judge(&lax, claims, false);
	}
	json_decref(claims);
	return 0;
}

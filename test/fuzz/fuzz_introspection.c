#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/auth/auth_source.h"
#include "worker/auth/introspection_answer.h"

/* May be a login. */
static bool
is_clean(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return *text != '\0' && strlen(text) <= TOKEN_USER_MAX;
}

/* Whatever a server sends, only a clean yes is one, and it is the user's own. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *audiences[] = { "imap", NULL }, *scopes[] = { "mail", NULL };
	const struct conf_token wants[] = {
		{ .claim = "username", .leeway = 60000 },
		{ .claim = "username", .issuer = "https://id.example", .audiences = audiences, .scopes = scopes },
	};
	const struct token_question question = { .user = size % 3 == 0 ? "joe" : "", .now_ms = 1000000000 };
	struct auth_answer out;
	const char *why = introspection_answer_judge((const char *)data, size, &wants[size % 2], &question, &out);

	if (why != NULL) {
		MUST(out.outcome == AUTH_UNAVAILABLE && out.user == NULL && out.reason == NULL);
	} else if (out.outcome == AUTH_ACCEPTED) {
		MUST(is_clean(out.user) && (size % 3 != 0 || strcmp(out.user, "joe") == 0));
		MUST(memmem(data, size, "true", 4) != NULL);
	} else {
		MUST(out.outcome == AUTH_REFUSED && out.reason != NULL && out.user == NULL);
	}
	auth_answer_reset(&out);
	return 0;
}

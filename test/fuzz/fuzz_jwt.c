#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/jwt.h"

/* The public key of RFC 8037 appendix A.2, whose tokens are in the corpus. */
static const char keys[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void
hear(void *ctx, size_t number, const char *why)
{
	(void)ctx;
	MUST(number == 0 && why == NULL);
}

/* Nobody who has no private key gets in, but by a token of the corpus: its text, whole and unchanged. */
static void
judge(const struct jwks *set, const struct conf_token *want, const char *token, size_t len)
{
	const struct token_question question = { .now_ms = 1000 };
	struct token_finding finding;
	enum jwt_verdict verdict = jwt_judge(set, want, token, len, &question, &finding);

	MUST((verdict == JWT_ACCEPTED) == (finding.reason == NULL));
	MUST((verdict == JWT_ACCEPTED) == (finding.user != NULL));
	MUST(verdict != JWT_ACCEPTED || (strcmp(finding.user, "alice") == 0 && finding.good_ms > 0));
	mem_free(finding.user);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct conf_token anybody = { .claim = "sub" }, somebody = { .issuer = "joe", .claim = "sub" };
	struct jwks *set;

	MUST(jwks_new(&set, keys, strlen(keys), hear, NULL) == NULL);
	judge(set, &anybody, (const char *)data, size);
	judge(set, &somebody, (const char *)data, size);
	jwks_free(&set);
	return 0;
}

#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/jwks.h"

static void
hear(void *ctx, size_t number, const char *why)
{
	size_t *count = ctx;

	MUST(number >= 1 && number <= JWKS_KEYS_MAX && why != NULL);
	++*count;
}

/* A set has keys, each of which its own type of algorithm finds; or it is none, and says why. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const algs[] = { "RS256", "ES256", "ES384", "ES512", "EdDSA", "PS256", "RS384", "RS512", "PS384", "PS512" };
	size_t heard = 0, at = 0;
	struct jwks *set;
	const char *why = jwks_new(&set, (const char *)data, size, hear, &heard);

	MUST((why == NULL) == (set != NULL) && heard <= 2 * JWKS_KEYS_MAX);
	if (set != NULL) {
		bool found = false;

		MUST(jwks_count(set) >= 1 && jwks_count(set) <= JWKS_KEYS_MAX && jwks_has(set, NULL));
		for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++, at = 0)
			found = jwks_next(set, &at, NULL, jwa_find(algs[i])) != NULL || found;
		MUST(found);
	}
	jwks_free(&set);
	MUST(set == NULL);
	return 0;
}

/*
 * postern-auth-jwt - the helper of auth_jwt: tokens against an issuer's keys
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/num.h"
#include "worker/helper/codec.h"
#include "worker/helper/filetext.h"
#include "worker/helper/helper.h"
#include "worker/helper/jwt.h"

#define LEEWAY_S_MAX (24 * 3600)

_Static_assert(JWT_MAX == CODEC_TOKEN_MAX, "what a worker sends, we judge");

/* What answers are made of. */
struct judge {
	struct jwks *keys;
	struct conf_token want;         /* owned, with all its texts */
};

/* All settings of one name, NULL-ended and the caller's; NULL if there is none. */
static const char **
read_list(const char *settings, const char *name)
{
	const char **list = NULL;
	size_t count = 0;
	char *each;

	while ((each = helper_setting_next(&settings, name)) != NULL) {
		list = mem_resize(list, (count + 2) * sizeof(list[0]));
		list[count++] = each;
		list[count] = NULL;
	}
	return list;
}

static void
free_list(const char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		mem_free((char *)list[i]);
	mem_free(list);
}

/* Returns 0, or -1 if the leeway is no number: then *want is whole too. */
static int
read_settings(struct conf_token *want, const char *settings)
{
	char *leeway = helper_setting(settings, "leeway_s"), *claim = helper_setting(settings, "claim");
	unsigned seconds = 60;
	int result = leeway == NULL ? 0 : num_parse(leeway, LEEWAY_S_MAX, &seconds);

	*want = (struct conf_token){
		.issuer = helper_setting(settings, "issuer"),
		.audiences = read_list(settings, "audience"), .scopes = read_list(settings, "scope"),
		.claim = claim != NULL ? claim : mem_strdup("email"), .leeway = (uint64_t)seconds * 1000,
	};
	mem_free(leeway);
	return result;
}

static void
settings_reset(struct conf_token *want)
{
	mem_free((char *)want->issuer);
	mem_free((char *)want->claim);
	free_list(want->audiences);
	free_list(want->scopes);
	*want = (struct conf_token){ 0 };
}

static void
on_key(void *ctx, size_t number, const char *why)
{
	log_say(LOG_WARN, "key %zu in \"%s\": %s", number, (const char *)ctx, why);
}

/* Returns NULL or, the caller's to free, what is wrong. */
static char *
read_keys(struct judge *judge, const struct helper_source *source)
{
	struct filetext text;
	const char *wrong;

	if (filetext_read(&text, source->fd, JWKS_MAX) == -1)
		return mem_printf("read() \"%s\" failed %s", source->label, log_errno(errno));
	wrong = jwks_new(&judge->keys, text.bytes, text.len, on_key, (void *)source->label);
	filetext_reset(&text);
	return wrong == NULL ? NULL : mem_printf("%s in \"%s\"", wrong, source->label);
}

static void
unload(void **loadedp)
{
	struct judge *judge = *loadedp;

	jwks_free(&judge->keys);
	settings_reset(&judge->want);
	mem_free(judge);
	*loadedp = NULL;
}

static void *
load(const struct helper_source *source, char **why)
{
	struct judge *fresh = mem_alloc(sizeof(*fresh));
	void *loaded = fresh;

	*why = read_settings(&fresh->want, source->settings) == -1 ?
	    mem_printf("invalid setting \"leeway_s\" of auth_jwt \"%s\"", source->label) : read_keys(fresh, source);
	if (*why != NULL) {
		unload(&loaded);
		return NULL;
	}
	log_say(LOG_INFO, "auth_jwt \"%s\" read, %zu keys", source->label, jwks_count(fresh->keys));
	return fresh;
}

static unsigned
methods(const void *loaded)
{
	(void)loaded;
	return METHODS_TOKEN;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
refuse(struct helper_reply *reply, const char *reason)
{
	*reply = (struct helper_reply){ .outcome = HELPER_REFUSED, .reason = mem_strdup(reason) };
}

static void
answer(void *loaded, const struct helper_request *request, struct helper_reply *reply)
{
	static const enum helper_outcome outcomes[] = {
		[JWT_ACCEPTED] = HELPER_ACCEPTED, [JWT_REFUSED] = HELPER_REFUSED, [JWT_FOREIGN] = HELPER_UNKNOWN,
	};
	const struct token_question question = { .user = request->user, .now_ms = now_ms() };
	struct judge *judge = loaded;
	struct token_finding finding;
	enum jwt_verdict verdict;

	if ((request->method & METHODS_TOKEN) == 0 || request->secret == NULL) {
		refuse(reply, "auth_jwt knows only tokens");
		return;
	}
	if (request->authz != NULL) {
		refuse(reply, "nobody may act for another user");
		return;
	}
	verdict = jwt_judge(judge->keys, &judge->want, request->secret, strlen(request->secret), &question, &finding);
	*reply = (struct helper_reply){
		.outcome = outcomes[verdict], .user = finding.user, .reason = mem_strdup(finding.reason),
	};
}

static void
prepare(void)
{
	token_prepare();
	jwa_prepare();
}

static const struct helper_kind auth_jwt = {
	.name = "auth_jwt", .program = "postern-auth-jwt",
	.wants_file = true, .sandbox = SANDBOX_CLOSED,
	.prepare = prepare, .load = load, .unload = unload, .methods = methods, .answer = answer,
};

int
main(int argc, char **argv)
{
	helper_run(argc, argv, &auth_jwt);
}

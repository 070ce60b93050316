#include "common/token.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"

#define GOOD_MS_MAX 1e15        /* some thirty thousand years */

static const char wrong_type[] = "a claim is of the wrong type";

void
token_prepare(void)
{
	json_object_seed(0);
}

json_t *
token_parse(const char *text, size_t len)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

bool
token_issuer_fits(const struct conf_token *want, const json_t *claims)
{
	const char *issuer = json_string_value(json_object_get(claims, "iss"));

	return want->issuer == NULL || (issuer != NULL && strcmp(issuer, want->issuer) == 0);
}

/* Is `word` one of the words that blanks separate in `text`? */
static bool
has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (; *text != '\0'; text += strspn(text, " ")) {
		size_t next = strcspn(text, " ");

		if (next == len && memcmp(text, word, len) == 0)
			return true;
		text += next;
	}
	return false;
}

static bool
is_text_or_texts(const json_t *value)
{
	size_t i;
	json_t *each;

	if (!json_is_array(value))
		return json_is_string(value);
	json_array_foreach(value, i, each)
		if (!json_is_string(each))
			return false;
	return true;
}

/* Does a text, or an array of texts, name `what`? With `words` a text holds several, as a scope does. */
static bool
names(const json_t *value, const char *what, bool words)
{
	size_t i;
	json_t *each;

	if (json_is_string(value))
		return words ? has_word(json_string_value(value), what) : strcmp(json_string_value(value), what) == 0;
	json_array_foreach(value, i, each)
		if (strcmp(json_string_value(each), what) == 0)
			return true;
	return false;
}

static enum token_verdict
say(struct token_finding *finding, enum token_verdict verdict, const char *reason)
{
	finding->reason = reason;
	return verdict;
}

static enum token_verdict
judge_issuer(const struct conf_token *want, const json_t *claims, struct token_finding *finding)
{
	const json_t *issuer = json_object_get(claims, "iss");

	if (issuer != NULL && !json_is_string(issuer))
		return say(finding, TOKEN_BAD, wrong_type);
	return token_issuer_fits(want, claims) ? TOKEN_ACCEPTED :
	    say(finding, TOKEN_REFUSED, "the token is of another issuer");
}

static enum token_verdict
judge_audience(const struct conf_token *want, const json_t *claims, struct token_finding *finding)
{
	const json_t *audience = json_object_get(claims, "aud");

	if (audience != NULL && !is_text_or_texts(audience))
		return say(finding, TOKEN_BAD, wrong_type);
	if (want->audiences == NULL)
		return TOKEN_ACCEPTED;
	for (const char **name = want->audiences; *name != NULL; name++)
		if (names(audience, *name, false))
			return TOKEN_ACCEPTED;
	return say(finding, TOKEN_REFUSED, "the token is for another audience");
}

static enum token_verdict
judge_scopes(const struct conf_token *want, const json_t *claims, struct token_finding *finding)
{
	const json_t *scope = json_object_get(claims, "scope");

	if (scope == NULL)
		scope = json_object_get(claims, "scp");
	if (scope != NULL && !is_text_or_texts(scope))
		return say(finding, TOKEN_BAD, wrong_type);
	for (const char **name = want->scopes; name != NULL && *name != NULL; name++)
		if (!names(scope, *name, true))
			return say(finding, TOKEN_REFUSED, "the token lacks a scope");
	return TOKEN_ACCEPTED;
}

/* A NumericDate (RFC 7519 section 2): seconds since the epoch, perhaps with a fraction. As a double none wraps. */
static bool
read_time(const json_t *claims, const char *name, double absent, double *seconds)
{
	const json_t *value = json_object_get(claims, name);

	*seconds = value != NULL ? json_number_value(value) : absent;
	return value == NULL || json_is_number(value);
}

static enum token_verdict
judge_times(const struct conf_token *want, const json_t *claims, const struct token_question *question,
    struct token_finding *finding)
{
	double now = (double)question->now_ms / 1000, leeway = (double)want->leeway / 1000;
	double until, from, issued, good_ms;

	if (!read_time(claims, "exp", 0, &until) || !read_time(claims, "nbf", now, &from) ||
	    !read_time(claims, "iat", now, &issued))
		return say(finding, TOKEN_BAD, wrong_type);
	if (from > now + leeway)
		return say(finding, TOKEN_REFUSED, "the token is not valid yet");
	if (issued > now + leeway)
		return say(finding, TOKEN_REFUSED, "the token was issued in the future");
	if (json_object_get(claims, "exp") == NULL)
		return question->must_expire ? say(finding, TOKEN_REFUSED, "the token never expires") : TOKEN_ACCEPTED;
	if (now >= until + leeway)
		return say(finding, TOKEN_REFUSED, "the token has expired");
	good_ms = (until + leeway - now) * 1000;
	finding->good_ms = good_ms < 1 ? 1 : (uint64_t)(good_ms < GOOD_MS_MAX ? good_ms : GOOD_MS_MAX);
	return TOKEN_ACCEPTED;
}

/* What may be a user name here: nothing that could end a line or a string somewhere. */
static bool
is_user(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > TOKEN_USER_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

/* Some issuers let anybody write any address into "email", and say so here, some of them as a string. */
static bool
is_denied(const struct conf_token *want, const json_t *claims)
{
	const json_t *verified = json_object_get(claims, "email_verified");
	const char *text = json_string_value(verified);

	return strcmp(want->claim, "email") == 0 && verified != NULL && !json_is_true(verified) &&
	    (text == NULL || strcmp(text, "true") != 0);
}

static enum token_verdict
judge_user(const struct conf_token *want, const json_t *claims, const struct token_question *question,
    struct token_finding *finding)
{
	const json_t *claim = json_object_get(claims, want->claim);
	const char *user = json_string_value(claim);

	if (claim == NULL)
		return say(finding, TOKEN_REFUSED, "the token names no user");
	if (user == NULL)
		return say(finding, TOKEN_BAD, wrong_type);
	if (!is_user(user))
		return say(finding, TOKEN_BAD, "what the token names can be no user");
	if (is_denied(want, claims))
		return say(finding, TOKEN_REFUSED, "the address in the token is not verified");
	if (question->user != NULL && question->user[0] != '\0' && !token_same_user(question->user, user))
		return say(finding, TOKEN_REFUSED, "the token is another user's");
	finding->user = mem_strdup(user);
	return TOKEN_ACCEPTED;
}

enum token_verdict
token_judge(const struct conf_token *want, const json_t *claims, const struct token_question *question,
    struct token_finding *finding)
{
	enum token_verdict verdict;

	*finding = (struct token_finding){ 0 };
	if ((verdict = judge_issuer(want, claims, finding)) != TOKEN_ACCEPTED ||
	    (verdict = judge_audience(want, claims, finding)) != TOKEN_ACCEPTED ||
	    (verdict = judge_times(want, claims, question, finding)) != TOKEN_ACCEPTED ||
	    (verdict = judge_scopes(want, claims, finding)) != TOKEN_ACCEPTED)
		return verdict;
	return judge_user(want, claims, question, finding);
}

bool
token_same_user(const char *a, const char *b)
{
	const char *at = strrchr(a, '@');
	size_t local = at != NULL ? (size_t)(at - a) : strlen(a);

	return strlen(a) == strlen(b) && memcmp(a, b, local) == 0 && strcasecmp(a + local, b + local) == 0;
}

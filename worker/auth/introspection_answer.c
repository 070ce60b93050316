#include "worker/auth/introspection_answer.h"

#include "common/mem.h"

static const char *
refuse(struct auth_answer *out, const char *reason)
{
	out->outcome = AUTH_REFUSED;
	out->reason = mem_strdup(reason);
	return NULL;
}

static const char *
judge_claims(const json_t *claims, const struct conf_token *want, const struct token_question *question,
    struct auth_answer *out)
{
	struct token_finding finding;

	switch (token_judge(want, claims, question, &finding)) {
	case TOKEN_ACCEPTED:
		out->outcome = AUTH_ACCEPTED;
		out->user = finding.user;
		out->good_ms = finding.good_ms;
		return NULL;
	case TOKEN_REFUSED:
		return refuse(out, finding.reason);
	case TOKEN_BAD:
		break;
	}
	return finding.reason;
}

/* A token that is not active has no other claims (RFC 7662 section 2.2). */
static const char *
judge(const json_t *claims, const struct conf_token *want, const struct token_question *question,
    struct auth_answer *out)
{
	const json_t *active = json_object_get(claims, "active");

	if (!json_is_boolean(active))
		return "\"active\" is neither true nor false";
	if (!json_is_true(active))
		return refuse(out, "the token is not active");
	return judge_claims(claims, want, question, out);
}

const char *
introspection_answer_judge(const char *body, size_t len, const struct conf_token *want,
    const struct token_question *question, struct auth_answer *out)
{
	json_t *claims = token_parse(body, len);
	const char *why;

	*out = (struct auth_answer){ .outcome = AUTH_UNAVAILABLE };
	if (claims == NULL)
		return "not a JSON object";
	why = judge(claims, want, question, out);
	json_decref(claims);
	return why;
}

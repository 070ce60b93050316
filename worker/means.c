#include "worker/means.h"

#include <stddef.h>

static bool
is_token_method(enum method method)
{
	return ((unsigned)method & METHODS_TOKEN) != 0;
}

static bool
is_bearer(enum proxy_auth how)
{
	return how == PROXY_AUTH_XOAUTH2 || how == PROXY_AUTH_OAUTHBEARER;
}

/* Did we, and not the backend, look into the token? Then the backend need not know what to do with it. */
static bool
is_judged_here(const struct credentials *c, const struct auth_answer *answer)
{
	return is_token_method(c->method) && answer->pass == NULL && answer->source != NULL &&
	    (answer->source->kind == SOURCE_JWT || answer->source->kind == SOURCE_INTROSPECTION);
}

/*
 * Is what a client of this method leaves of the kind that is to be shown? A password is no token,
 * and a token no password.
 */
static bool
is_of_kind(enum method method, enum proxy_auth how)
{
	if (((unsigned)method & (METHODS_PASSWORD | METHODS_TOKEN)) == 0)
		return false;
	return how == PROXY_AUTH_AUTO || is_bearer(how) == is_token_method(method);
}

/* What the backend can be shown: what the source has returned, else what the client has left, if that will do. */
static const char *
secret_of(const struct server *server, const struct credentials *c, const struct auth_answer *answer)
{
	return answer->pass != NULL || is_of_kind(c->method, server->proxy_auth) ? c->pass : NULL;
}

/* Is a secret shown to the backend at all? SMTP without AUTH says by XCLIENT who it is, or nothing. */
static bool
shows_secret(const struct server *server, enum method method)
{
	if (method == METHOD_NONE || server->proxy_auth == PROXY_AUTH_EXTERNAL || server->proxy_auth == PROXY_AUTH_NONE)
		return false;
	return server->protocol != PROTOCOL_SMTP || server->proxy_smtp_auth || server->proxy_auth != PROXY_AUTH_AUTO;
}

static bool
wants_master(const struct server *server, const struct credentials *c, const struct auth_answer *answer)
{
	/* Where the backend decides, a master user would let everybody in. */
	if (server->master_user == NULL || answer->undecided || !shows_secret(server, c->method))
		return false;
	return server->master_always || secret_of(server, c, answer) == NULL ||
	    (server->proxy_auth == PROXY_AUTH_AUTO && is_judged_here(c, answer));
}

static struct login_means
master_means(const struct server *server, const struct credentials *c)
{
	return (struct login_means){
		.how = PROXY_AUTH_PLAIN, .method = c->method,
		.user = server->master_user, .pass = server->master_pass, .authz = c->user,
	};
}

struct login_means
means_choose(const struct server *server, const struct credentials *c, const struct auth_answer *answer)
{
	enum proxy_auth how = server->proxy_auth;
	struct login_means means = { .how = how, .method = c->method, .user = c->user };

	if (wants_master(server, c, answer))
		return master_means(server, c);
	if (!shows_secret(server, c->method))
		return means;
	means.pass = secret_of(server, c, answer);
	means.is_own = means.pass != NULL && !c->replaced;
	means.is_token = is_bearer(how) || (how == PROXY_AUTH_AUTO && is_token_method(c->method));
	/* No source has looked at it: the backend has to. */
	if (answer->undecided)
		means.authz = c->authz;
	return means;
}

bool
means_lack(const struct server *server, const struct login_means *means)
{
	return means->pass == NULL && shows_secret(server, means->method);
}

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

/* What the backend can be shown of the client: nothing, where there was but a digest or a certificate. */
static const char *
own_secret(const struct credentials *c, const struct auth_answer *answer)
{
	if (answer->pass != NULL)
		return c->pass;
	return ((unsigned)c->method & (METHODS_PASSWORD | METHODS_TOKEN)) != 0 ? c->pass : NULL;
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
	if (server->master_user == NULL || !shows_secret(server, c->method))
		return false;
	return server->master_always || own_secret(c, answer) == NULL ||
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
	means.pass = own_secret(c, answer);
	means.is_token = is_bearer(how) || (how == PROXY_AUTH_AUTO && is_token_method(c->method));
	/* A password is no token, unless the source has returned one. */
	if (means.is_token && !is_token_method(c->method) && answer->pass == NULL)
		means.pass = NULL;
	return means;
}

bool
means_lack(const struct server *server, const struct login_means *means)
{
	return means->pass == NULL && shows_secret(server, means->method);
}

#include "worker/aim.h"

#include <string.h>

#include "common/mem.h"
#include "worker/entry.h"
#include "worker/session.h"

enum proxy_ssl
aim_ssl(const struct session *s, const struct auth_answer *answer)
{
	static const enum proxy_ssl meant[] = {
		[AUTH_SSL_OFF] = PROXY_SSL_OFF, [AUTH_SSL_ON] = PROXY_SSL_ON, [AUTH_SSL_STARTTLS] = PROXY_SSL_STARTTLS,
	};

	return answer->ssl == AUTH_SSL_UNSAID ? session_server(s)->proxy_ssl : meant[answer->ssl];
}

unsigned
aim_port(const struct session *s, const struct auth_answer *answer)
{
	const struct proto *proto = session_proto(s);

	if (answer->port != 0)
		return answer->port;
	return aim_ssl(s, answer) == PROXY_SSL_ON ? proto->default_ssl_port : proto->default_port;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
aim_is_here(const struct session *s, const struct auth_answer *answer)
{
	struct upstream_target target = {
		.host = answer->host,
		.port = aim_port(s, answer),
		.is_unix = answer->is_unix,
	};
	char *text = upstream_target_text(&target);
	bool here = same_text(text, s->entry->target) && aim_ssl(s, answer) == s->entry->ssl &&
	    same_text(answer->ssl_name, s->entry->ssl_name);

	mem_free(text);
	return here;
}

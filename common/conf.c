#include "common/conf.h"

#include <string.h>
#include <strings.h>

#include "common/addrset.h"
#include "common/arena.h"

const char *
conf_source_directive(enum source_kind kind)
{
	static const char *const names[SOURCE_KINDS] = {
		[SOURCE_HTTP] = "auth_http", [SOURCE_FILE] = "auth_file", [SOURCE_MYSQL] = "auth_mysql",
		[SOURCE_PAM] = "auth_pam", [SOURCE_JWT] = "auth_jwt", [SOURCE_INTROSPECTION] = "auth_introspection",
		[SOURCE_PASSTHROUGH] = "auth_passthrough",
	};

	return names[kind];
}

bool
conf_listen_is_same(const struct conf_listen *a, const struct conf_listen *b)
{
	static const unsigned char any[sizeof(a->at.addr.ip)];
	/* To a specific IPv6 address no IPv4 comes, whatever was asked for; Linux says "ipv6only" of all of them. */
	bool takes_ipv4 = a->at.addr.family == AF_INET6 && memcmp(a->at.addr.ip, any, sizeof(any)) == 0;

	return endpoint_equal(&a->at, &b->at) && a->options.multipath == b->options.multipath &&
	    (!takes_ipv4 || a->options.ipv6only == b->options.ipv6only);
}

/* Bytes equal, or letters behind the last "@" of the pattern, where there is one. */
static bool
same_byte(const char *pattern, const char *domain, const char *user)
{
	return *pattern == *user || (domain != NULL && pattern > domain && strncasecmp(pattern, user, 1) == 0);
}

/* One "*" at a time can be stretched: the last one that was passed. */
bool
conf_user_matches(const char *pattern, const char *user)
{
	const char *domain = strrchr(pattern, '@'), *star = NULL, *from = NULL;

	while (*user != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			from = user;
		} else if (same_byte(pattern, domain, user)) {
			pattern++;
			user++;
		} else if (star != NULL) {
			pattern = star + 1;
			user = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
conf_auth_covers(const struct conf_auth *auth, const char *user)
{
	if (auth->users == NULL)
		return true;
	for (const char **pattern = auth->users; user != NULL && *user != '\0' && *pattern != NULL; pattern++)
		if (conf_user_matches(*pattern, user))
			return true;
	return false;
}

static char
variable_byte(char c)
{
	if (c == '-')
		return '_';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
conf_is_header(const char *variable, const char *header)
{
	while (*variable != '\0' && *variable == variable_byte(*header)) {
		variable++;
		header++;
	}
	return *variable == '\0' && *header == '\0';
}

void
conf_free(struct conf **confp)
{
	struct conf *conf = *confp;
	struct arena *arena;

	if (conf == NULL)
		return;
	*confp = NULL;
	for (size_t i = 0; i < conf->addrset_count; i++)
		addrset_free(&conf->addrsets[i]);
	arena = conf->arena;    /* `conf` is in it */
	arena_free(&arena);
}

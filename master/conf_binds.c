#include "master/conf_binds.h"

#include <errno.h>

#include "master/conf_say.h"

/* Has it been said of another server, that has inherited the same line? */
static bool
is_known(const struct conf *conf, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (conf->servers[i]->proxy_bind == conf->servers[index]->proxy_bind)
			return true;
	return false;
}

static void
try_out(const struct conf_bind *bind)
{
	struct addr from = bind->addr;
	char text[ADDR_TEXT];
	const char *step;

	/* Of clients' addresses any will do to find out whether we may. */
	if (from.family == AF_UNSPEC)
		from.family = AF_INET;
	if (sock_try_from(&from, bind->transparent, &step) == -1)
		conf_say(LOG_WARN, &bind->place, "\"proxy_bind\" cannot work now: %s(%s) failed %s", step,
		    bind->addr.family == AF_UNSPEC ? "" : addr_format(text, &from), log_errno(errno));
}

static void
compare_families(const struct conf_bind *bind, const struct conf_name *backend)
{
	bool is_client = bind->addr.family == AF_UNSPEC;

	for (size_t i = 0; backend != NULL && i < backend->found_count; i++) {
		const struct endpoint *to = &backend->found[i];
		char text[128];

		if (is_client ? to->addr.family != AF_UNIX : to->addr.family == bind->addr.family)
			continue;
		conf_say(LOG_WARN, &bind->place, is_client ?
		    "\"proxy_bind\": %s cannot be connected from clients' addresses" :
		    "\"proxy_bind\": connections to %s do not come from this address",
		    endpoint_format(text, sizeof(text), to));
	}
}

void
conf_binds_check(struct conf *conf)
{
	for (size_t i = 0; i < conf->server_count; i++) {
		const struct conf_bind *bind = conf->servers[i]->proxy_bind;

		if (bind == NULL)
			continue;
		conf->binding = true;
		conf->transparent |= bind->transparent;
		if (!is_known(conf, i))
			try_out(bind);
		compare_families(bind, conf->servers[i]->proxy_pass);
	}
}

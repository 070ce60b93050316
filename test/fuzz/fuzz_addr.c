#include <stdbool.h>
#include <string.h>

#include "common/addr.h"
#include "common/addrset.h"
#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"

#define DEFAULT_PORT 25

/* An address that is read is written in a form that reads as the same address. */
static void
try_parse(const char *text, size_t len)
{
	struct endpoint at = { .path = NULL };
	struct addr again;
	struct sockaddr_storage sa;
	char form[ADDR_TEXT];

	if (addr_parse(&at.addr, text, len) == -1)
		return;
	MUST(at.addr.port == 0 && addr_width(&at.addr) > 0);
	addr_format(form, &at.addr);
	MUST(addr_parse(&again, form, strlen(form)) == 0 && addr_equal(&at.addr, &again));
	MUST(endpoint_sockaddr(&at, &sa) > 0);
	addr_from_sockaddr(&again, &sa);
	MUST(addr_equal(&at.addr, &again));
}

/* A place that is split can be put together and split into the same parts. */
static void
try_split(const char *text)
{
	char *host = NULL, *host_again = NULL, *joined;
	unsigned port = 0, port_again = 0;
	bool is_unix, is_unix_again;

	if (addr_split(text, DEFAULT_PORT, &host, &port, &is_unix) != NULL) {
		MUST(host == NULL && port == 0);
		return;
	}
	MUST(host[0] != '\0' && port > 0 && port < 65536);
	if (is_unix)
		joined = mem_printf("unix:%s", host);
	else if (strcmp(host, "unix") == 0)     /* with a port behind it this would be a path */
		joined = mem_strdup(host);
	else
		joined = mem_printf(strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
	MUST(addr_split(joined, DEFAULT_PORT, &host_again, &port_again, &is_unix_again) == NULL);
	MUST(strcmp(host, host_again) == 0 && port == port_again && is_unix == is_unix_again);
	mem_free(joined);
	mem_free(host);
	mem_free(host_again);
}

/* A rule covers the address it was made of. */
static void
try_rule(const char *text)
{
	struct addrset *set = NULL;
	struct addr net;

	if (addrset_add(&set, false, text) != NULL) {
		MUST(set == NULL);
		return;
	}
	if (addr_parse(&net, text, strcspn(text, "/")) == 0)
		MUST(!addrset_allows(set, &net));
	addrset_free(&set);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);

	if (size > 0)
		try_parse((const char *)data, size);
	try_split(text);
	try_rule(text);
	mem_free(text);
	return 0;
}

#include "worker/helper/grant.h"

#include <stdint.h>
#include <string.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "common/num.h"

#define ITEM_MAX 64     /* an item of a list: a network or the name of a protocol */

struct list {
	const char *text;       /* NULL: nothing is left */
	size_t len;
};

/* Takes the next item off the front, as a string; one that is too long for any becomes "". */
static bool
take(struct list *rest, char item[ITEM_MAX])
{
	const char *end;
	size_t len;

	if (rest->text == NULL)
		return false;
	end = memchr(rest->text, ',', rest->len);
	len = end != NULL ? (size_t)(end - rest->text) : rest->len;
	memcpy(item, rest->text, len < ITEM_MAX ? len : 0);
	item[len < ITEM_MAX ? len : 0] = '\0';
	rest->text = end != NULL ? end + 1 : NULL;
	rest->len -= len + (end != NULL);
	return true;
}

/* Builds the rules; *local says whether UNIX sockets are among them. */
static const char *
build_nets(struct list rest, struct addrset **set, bool *local)
{
	char item[ITEM_MAX];

	*local = false;
	while (take(&rest, item)) {
		if (strcmp(item, "local") == 0)
			*local = true;
		else if (strcmp(item, "all") == 0 || addrset_add(set, true, item) != NULL)
			return "invalid network in allow_nets";
	}
	addrset_add(set, false, "all");
	return NULL;
}

const char *
grant_judge_nets(const char *text, size_t len)
{
	struct addrset *set = NULL;
	const char *why;
	bool local;

	if (text == NULL)
		return NULL;
	why = build_nets((struct list){ text, len }, &set, &local);
	addrset_free(&set);
	return why;
}

bool
grant_allows_client(const char *text, size_t len, const struct addr *client)
{
	struct addrset *set = NULL;
	bool local, allows;

	if (text == NULL)
		return true;
	allows = build_nets((struct list){ text, len }, &set, &local) == NULL &&
	    (client->family == AF_UNIX ? local : addrset_allows(set, client));
	addrset_free(&set);
	return allows;
}

const char *
grant_judge_protocols(const char *text, size_t len)
{
	struct list rest = { text, len };
	char item[ITEM_MAX];

	while (take(&rest, item))
		if (protocol_by_name(item) == PROTOCOL_UNKNOWN)
			return "unknown protocol in protocols";
	return NULL;
}

bool
grant_allows_protocol(const char *text, size_t len, enum protocol protocol)
{
	struct list rest = { text, len };
	char item[ITEM_MAX];

	while (take(&rest, item))
		if (protocol_by_name(item) == protocol)
			return true;
	return text == NULL;
}

const char *
grant_ssl(const char *text, size_t len, enum proxy_ssl *ssl)
{
	static const struct {
		const char *word;
		enum proxy_ssl ssl;
	} words[] = {
		{ "yes", PROXY_SSL_ON }, { "any-cert", PROXY_SSL_ON }, { "no", PROXY_SSL_OFF },
		{ "starttls", PROXY_SSL_STARTTLS },
	};

	for (size_t i = 0; text != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) != len || memcmp(words[i].word, text, len) != 0)
			continue;
		*ssl = words[i].ssl;
		return NULL;
	}
	return text == NULL ? NULL : "invalid value of ssl";
}

/* An address, or a name that may go into a log line and to a resolver. */
static bool
is_host(const char *host)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	struct addr addr;
	size_t len = strlen(host);

	if (addr_parse(&addr, host, len) == 0)
		return true;
	return len > 0 && len <= 255 && strspn(host, letters) == len;
}

const char *
grant_backend(const char *host_text, const char *port_text, size_t port_len, char **host, unsigned *port, bool *is_unix)
{
	const char *why = NULL;
	char *found = NULL;
	uint64_t number = 0;
	struct addr addr;
	bool local = false;
	unsigned given = 0;

	if (port_text != NULL && (num_parse_len(port_text, port_len, UINT16_MAX, &number) == -1 || number == 0))
		return "invalid port";
	if (host_text == NULL)
		return port_text == NULL ? NULL : "port without host";
	if (addr_parse(&addr, host_text, strlen(host_text)) == 0)       /* IPv6 needs no brackets here */
		found = mem_strdup(host_text);
	else
		why = addr_split(host_text, 0, &found, &given, &local);
	if (why == NULL && !local && !is_host(found))
		why = "invalid host";
	if (why != NULL) {
		mem_free(found);
		return why;
	}
	*host = found;
	*port = number != 0 ? (unsigned)number : given;
	*is_unix = local;
	return NULL;
}

#define CARES_NO_DEPRECATED     /* the answer as it came is what we want; later releases would rather parse it */
#include "worker/net/hostnames.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/conf.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/siphash.h"
#include "worker/net/dns_answer.h"
#include "worker/net/dnsloop.h"

#define HOSTS_MAX 4096
#define BUCKETS 1024
#define LONGEST_MS 86400000u    /* of a record that claims more */
#define NO_MS 300000u           /* of "there is none" and of a name that is not the client's */
#define FAILURE_MS 2000u        /* of no answer, and of "there is none" where nobody says for how long */
#define QUERY_MS 2000           /* for the first round of name servers; the second has twice as long */
#define QUERY_ROUNDS 2          /* then anew, while somebody waits */
#define CLASS_IN 1

/* An address and what is known of it. At any time it is asked about, or to be told of, or else idle. */
struct host {
	struct list node;               /* in its bucket */
	struct list age;                /* in names->idle */
	struct hostnames *names;
	struct addr addr;
	enum hostname_verdict verdict;
	unsigned code;
	char *name;                     /* owned */
	uint32_t ttl_s;
	uint64_t until_ms;              /* what is known is good until then */
	bool asking, telling;
	unsigned refusals;              /* asking: servers that could or would not answer this question */
	bool named;                     /* asking: the PTR has come, it is about the name's addresses */
	struct list waiting;            /* struct hostname_query.node */
	struct loop_task tell;
};

struct hostname_query {
	struct list node;
	struct host *host;
	hostnames_callback *done;
	void *ctx;
};

struct hostnames {
	struct loop *loop;              /* borrowed */
	struct dnsloop dns;
	const struct conf_resolver *conf;       /* borrowed */
	struct siphash_key key;
	struct list buckets[BUCKETS];
	struct list idle;               /* the longest unused first */
	unsigned count;
	unsigned tries;                 /* of a question that servers do not want to answer */
};

static const char *
text_of(unsigned code)
{
	switch (code) {
	case 0:
		return NULL;
	case 1:
		return "Format error";
	case 2:
		return "Server failure";
	case HOSTNAME_NOT_FOUND:
		return "Host not found";
	case 4:
		return "Unimplemented";
	case 5:
		return "Operation refused";
	case ETIMEDOUT:
		return "Operation timed out";
	case ECONNREFUSED:
		return "Connection refused";
	case EAGAIN:
		return "too many look-ups at once";
	default:
		return "Unknown error";
	}
}

/* c-ares' status as nginx has it: the server's code, or an errno. */
static unsigned
code_of(int status)
{
	switch (status) {
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
		return HOSTNAME_NOT_FOUND;
	case ARES_EFORMERR:
	case ARES_EBADRESP:
		return 1;
	case ARES_ENOTIMP:
		return 4;
	case ARES_EREFUSED:
		return 5;
	case ARES_ETIMEOUT:
		return ETIMEDOUT;
	case ARES_ECONNREFUSED:
		return ECONNREFUSED;
	default:
		return 2;
	}
}

static struct hostname
known(const struct host *host)
{
	return (struct hostname){ host->verdict, host->name, host->code, text_of(host->code) };
}

static void ask(struct host *host);

/* ---- what came of it ---- */

static uint64_t
lifetime(const struct host *host)
{
	uint64_t valid_ms = (host->names->conf->valid_s > 0 ? host->names->conf->valid_s : host->ttl_s) * 1000;
	uint64_t most_ms = host->verdict == HOSTNAME_CONFIRMED ? LONGEST_MS : NO_MS;

	if (host->code != 0 && (host->code != HOSTNAME_NOT_FOUND || valid_ms < FAILURE_MS))
		return FAILURE_MS;
	return valid_ms < most_ms ? valid_ms : most_ms;
}

static void
tell(struct loop_task *task)
{
	struct host *host = LIST_ENTRY(task, struct host, tell);
	struct list waiting;

	list_init(&waiting);
	list_move_all(&waiting, &host->waiting);
	/* A callback may cancel those that are still to be told, and ask anew, even about this host. */
	while (!list_is_empty(&waiting)) {
		struct hostname_query *query = LIST_ENTRY(waiting.next, struct hostname_query, node);
		struct hostname found = known(host);

		list_remove(&query->node);
		query->done(query->ctx, &found);
		mem_free(query);
	}
	host->telling = false;
	if (list_is_empty(&host->waiting))
		list_add(&host->names->idle, &host->age);
	else
		ask(host);
}

/* It is told in the next turn, outside of c-ares. */
static void
settle(struct host *host, enum hostname_verdict verdict, unsigned code)
{
	host->verdict = verdict;
	host->code = code;
	host->asking = host->named = false;
	host->telling = true;
	host->until_ms = loop_now_ms(host->names->loop) + lifetime(host);
	loop_again(host->names->loop, &host->tell);
}

/* ---- asking ---- */

static void ask_names(struct host *host);
static void ask_addresses(struct host *host);

/*
 * All servers were silent: for somebody who still waits one of them may wake up. Or one was
 * not able or willing: another may be, whose turn comes with the next question.
 */
static bool
is_worth_another(struct host *host, int status)
{
	if (status == ARES_ETIMEOUT)
		return !list_is_empty(&host->waiting);
	if (status == ARES_ESERVFAIL || status == ARES_ENOTIMP || status == ARES_EREFUSED)
		return ++host->refusals < host->names->tries;
	return false;
}

static bool
try_again(struct host *host, int status)
{
	if (!is_worth_another(host, status))
		return false;
	if (host->named)
		ask_addresses(host);
	else
		ask_names(host);
	return true;
}

static void
take_ttl(struct host *host, const struct dns_answer *answer)
{
	if (answer->ttl_s < host->ttl_s)
		host->ttl_s = answer->ttl_s;
}

/* There is nothing; the answer may say for how long. */
static void
take_absence(struct host *host, const unsigned char *bytes, int len, const char *name, enum dns_type type)
{
	struct dns_answer answer = { .ttl_s = 0 };

	if (bytes != NULL && len > 0 && dns_answer_read(&answer, bytes, (size_t)len, name, type) != DNS_NOTHING)
		answer.ttl_s = 0;
	take_ttl(host, &answer);
}

static enum dns_type
type_of(const struct host *host)
{
	return host->addr.family == AF_INET ? DNS_A : DNS_AAAA;
}

static bool
has_address(const struct host *host, struct dns_answer *answer)
{
	struct dns_record record;

	while (dns_answer_next(answer, &record))
		if (addr_equal(&record.addr, &host->addr))
			return true;
	return false;
}

static void
on_addresses(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct host *host = arg;
	struct dns_answer answer;
	enum dns_verdict verdict;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || try_again(host, status))
		return;
	if (status != ARES_SUCCESS) {
		take_absence(host, bytes, len, host->name, type_of(host));
		settle(host, HOSTNAME_LOST, code_of(status));
		return;
	}
	verdict = dns_answer_read(&answer, bytes, (size_t)len, host->name, type_of(host));
	take_ttl(host, &answer);
	if (verdict != DNS_FOUND) {
		settle(host, HOSTNAME_LOST, verdict == DNS_BAD ? 1 : HOSTNAME_NOT_FOUND);
		return;
	}
	settle(host, has_address(host, &answer) ? HOSTNAME_CONFIRMED : HOSTNAME_FOREIGN, 0);
}

static void
ask_addresses(struct host *host)
{
	ares_query(host->names->dns.channel, host->name, CLASS_IN, (int)type_of(host), on_addresses,
	    host);
}

static void
set_name(struct host *host, const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];

	mem_free(host->name);
	host->name = mem_strdup(dns_name_format(text, name));
}

/* The first that is a host's name, or else the first. True: it is one. */
static bool
take_name(struct host *host, struct dns_answer *answer)
{
	struct dns_record record;

	MUST(dns_answer_next(answer, &record));
	set_name(host, &record.name);
	do {
		if (dns_name_is_host(&record.name)) {
			set_name(host, &record.name);
			return true;
		}
	} while (dns_answer_next(answer, &record));
	return false;
}

static void
on_names(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct host *host = arg;
	char reverse[DNS_REVERSE_TEXT];
	struct dns_answer answer;
	enum dns_verdict verdict;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || try_again(host, status))
		return;
	dns_reverse(reverse, &host->addr);
	if (status != ARES_SUCCESS) {
		take_absence(host, bytes, len, reverse, DNS_PTR);
		settle(host, HOSTNAME_UNKNOWN, code_of(status));
		return;
	}
	verdict = dns_answer_read(&answer, bytes, (size_t)len, reverse, DNS_PTR);
	take_ttl(host, &answer);
	if (verdict != DNS_FOUND) {
		settle(host, HOSTNAME_UNKNOWN, verdict == DNS_BAD ? 1 : HOSTNAME_NOT_FOUND);
		return;
	}
	if (!take_name(host, &answer)) {
		settle(host, HOSTNAME_INVALID, 0);
		return;
	}
	host->named = true;
	host->refusals = 0;
	ask_addresses(host);
}

static void
ask_names(struct host *host)
{
	char reverse[DNS_REVERSE_TEXT];

	ares_query(host->names->dns.channel, dns_reverse(reverse, &host->addr), CLASS_IN, DNS_PTR, on_names, host);
}

static void
ask(struct host *host)
{
	list_remove(&host->age);
	host->asking = true;
	host->refusals = 0;
	host->ttl_s = UINT32_MAX;
	mem_free(host->name);
	host->name = NULL;
	ask_names(host);
	dnsloop_look(&host->names->dns);
}

/* ---- the table ---- */

/* The client's port has nothing to do with its name. */
static struct addr
bare(const struct addr *addr)
{
	struct addr key = { .family = addr->family };

	memcpy(key.ip, addr->ip, addr_width(addr) / 8);
	return key;
}

static struct list *
bucket_of(struct hostnames *names, const struct addr *key)
{
	return &names->buckets[siphash(&names->key, key->ip, sizeof(key->ip)) % BUCKETS];
}

static struct host *
host_find(struct hostnames *names, const struct addr *key)
{
	struct list *bucket = bucket_of(names, key);

	LIST_EACH(node, bucket) {
		struct host *host = LIST_ENTRY(node, struct host, node);

		if (addr_equal(&host->addr, key))
			return host;
	}
	return NULL;
}

static void
host_free(struct host *host)
{
	loop_drop(&host->tell);
	list_remove(&host->node);
	list_remove(&host->age);
	host->names->count--;
	mem_free(host->name);
	mem_free(host);
}

static struct host *
host_new(struct hostnames *names, const struct addr *key)
{
	struct host *host = mem_alloc(sizeof(*host));

	*host = (struct host){ .names = names, .addr = *key, .tell.run = tell };
	list_init(&host->age);
	list_init(&host->waiting);
	MUST(names->count < HOSTS_MAX || !list_is_empty(&names->idle));
	if (names->count == HOSTS_MAX)
		host_free(LIST_ENTRY(names->idle.next, struct host, age));
	list_add(bucket_of(names, key), &host->node);
	names->count++;
	return host;
}

/* ---- the outside ---- */

/* As c-ares reads them; counts them, too. */
static char *
servers_text(const struct conf_resolver *conf, unsigned *count)
{
	char *text = mem_strdup(""), one[ADDR_TEXT];

	*count = 0;
	for (struct conf_name **name = conf->servers; *name != NULL; name++) {
		for (size_t i = 0; i < (*name)->found_count; i++) {
			char *longer = mem_printf("%s%s%s", text, text[0] != '\0' ? "," : "",
			    addr_format_port(one, &(*name)->found[i].addr));

			mem_free(text);
			text = longer;
			++*count;
		}
	}
	return text;
}

static int
open_channel(struct hostnames *names, const char **why)
{
	/* Without the flag a refusal of all servers would be told from no other failure. */
	const struct ares_options options = {
		.flags = ARES_FLAG_NOCHECKRESP, .timeout = QUERY_MS, .tries = QUERY_ROUNDS,
	};
	unsigned count;
	char *servers;
	int status;

	if (dnsloop_open(&names->dns, names->loop, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_ROTATE,
	    why) == -1)
		return -1;
	servers = servers_text(names->conf, &count);
	/* Others' questions take their turns, too: not each try reaches another server. */
	names->tries = count > 1 ? 2 * count : 1;
	status = ares_set_servers_ports_csv(names->dns.channel, servers);
	mem_free(servers);
	if (status == ARES_SUCCESS)
		return 0;
	*why = ares_strerror(status);
	dnsloop_close(&names->dns);
	return -1;
}

struct hostnames *
hostnames_new(struct loop *loop, const struct conf_resolver *conf, const char **why)
{
	struct hostnames *names = mem_alloc(sizeof(*names));

	names->loop = loop;
	names->conf = conf;
	MUST(getrandom(&names->key, sizeof(names->key), 0) == sizeof(names->key));
	list_init(&names->idle);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&names->buckets[i]);
	if (open_channel(names, why) == -1) {
		mem_free(names);
		return NULL;
	}
	return names;
}

void
hostnames_free(struct hostnames **namesp)
{
	struct hostnames *names = *namesp;

	if (names == NULL)
		return;
	dnsloop_close(&names->dns);
	for (size_t i = 0; i < BUCKETS; i++) {
		LIST_EACH(node, &names->buckets[i]) {
			MUST(list_is_empty(&LIST_ENTRY(node, struct host, node)->waiting));
			host_free(LIST_ENTRY(node, struct host, node));
		}
	}
	mem_free(names);
	*namesp = NULL;
}

static bool
find_family(const struct hostnames *names, const struct addr *addr, struct hostname *found)
{
	if (addr->family == AF_INET ? names->conf->ipv4 : names->conf->ipv6)
		return false;
	*found = (struct hostname){ .verdict = HOSTNAME_FOREIGN };
	return true;
}

bool
hostnames_find(struct hostnames *names, const struct addr *addr, struct hostname *found)
{
	struct addr key = bare(addr);
	struct host *host;

	if (find_family(names, addr, found))
		return true;
	host = host_find(names, &key);
	if (host == NULL && names->count == HOSTS_MAX && list_is_empty(&names->idle)) {
		*found = (struct hostname){ HOSTNAME_UNKNOWN, NULL, EAGAIN, text_of(EAGAIN) };
		return true;
	}
	if (host == NULL || host->asking || loop_now_ms(names->loop) >= host->until_ms)
		return false;
	if (!host->telling) {
		list_remove(&host->age);
		list_add(&names->idle, &host->age);
	}
	*found = known(host);
	return true;
}

struct hostname_query *
hostnames_ask(struct hostnames *names, const struct addr *addr, hostnames_callback *done,
    void *ctx)
{
	struct hostname_query *query = mem_alloc(sizeof(*query));
	struct addr key = bare(addr);
	struct host *host = host_find(names, &key);

	if (host == NULL)
		host = host_new(names, &key);
	*query = (struct hostname_query){ .host = host, .done = done, .ctx = ctx };
	list_add(&host->waiting, &query->node);
	if (!host->asking && !host->telling)
		ask(host);
	return query;
}

struct hostname
hostnames_late(const struct hostname_query *query)
{
	const struct host *host = query->host;

	if (host->named)
		return (struct hostname){ HOSTNAME_LOST, host->name, ETIMEDOUT, text_of(ETIMEDOUT) };
	return (struct hostname){ HOSTNAME_UNKNOWN, NULL, ETIMEDOUT, text_of(ETIMEDOUT) };
}

void
hostnames_cancel(struct hostname_query **queryp)
{
	struct hostname_query *query = *queryp;

	*queryp = NULL;
	if (query == NULL)
		return;
	list_remove(&query->node);
	mem_free(query);
}

#include "worker/net/hostnames.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/conf.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/siphash.h"
#include "worker/net/hostwalk.h"

#define HOSTS_MAX 4096
#define BUCKETS 1024
#define LONGEST_MS 86400000u    /* of a record that claims more */
#define NO_MS 300000u           /* of "there is none" and of a name that is not the client's */
#define FAILURE_MS 2000u        /* of no answer, and of "there is none" where nobody says for how long */

/* An address and what is known of it. At any time it is asked about, or to be told of, or else idle. */
struct host {
	struct list node;               /* in its bucket */
	struct list age;                /* in names->idle */
	struct hostnames *names;
	struct hostwalk walk;
	enum hostname_verdict verdict;
	unsigned code;
	uint64_t until_ms;              /* what is known is good until then */
	bool asking, telling;
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
	struct hostwalk_servers servers;
	const struct conf_resolver *conf;       /* borrowed */
	struct siphash_key key;
	struct list buckets[BUCKETS];
	struct list idle;               /* the longest unused first */
	unsigned count;
};

static struct hostname
known(const struct host *host)
{
	return (struct hostname){ host->verdict, host->walk.name, host->code, hostname_why(host->code) };
}

static void ask(struct host *host);

/* ---- what came of it ---- */

static uint64_t
lifetime(const struct host *host)
{
	uint64_t valid_ms = (host->names->conf->valid_s > 0 ? host->names->conf->valid_s : host->walk.ttl_s) * 1000;
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
settle(struct hostwalk *walk, enum hostname_verdict verdict, unsigned code)
{
	struct host *host = LIST_ENTRY(walk, struct host, walk);

	host->verdict = verdict;
	host->code = code;
	host->asking = false;
	host->telling = true;
	host->until_ms = loop_now_ms(host->names->loop) + lifetime(host);
	loop_again(host->names->loop, &host->tell);
}

static bool
is_awaited(const struct hostwalk *walk)
{
	return !list_is_empty(&LIST_ENTRY(walk, const struct host, walk)->waiting);
}

static const struct hostwalk_asker asker = { .done = settle, .is_wanted = is_awaited };

static void
ask(struct host *host)
{
	list_remove(&host->age);
	host->asking = true;
	hostwalk_start(&host->walk);
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

		if (addr_equal(&host->walk.addr, key))
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
	hostwalk_reset(&host->walk);
	mem_free(host);
}

static struct host *
host_new(struct hostnames *names, const struct addr *key)
{
	struct host *host = mem_alloc(sizeof(*host));

	*host = (struct host){ .names = names, .tell.run = tell };
	hostwalk_init(&host->walk, &names->servers, &asker, key);
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
	if (hostwalk_open(&names->servers, loop, conf, why) == -1) {
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
	hostwalk_close(&names->servers);
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
		*found = (struct hostname){ HOSTNAME_UNKNOWN, NULL, EAGAIN, hostname_why(EAGAIN) };
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

	if (host->walk.named)
		return (struct hostname){ HOSTNAME_LOST, host->walk.name, ETIMEDOUT, hostname_why(ETIMEDOUT) };
	return (struct hostname){ HOSTNAME_UNKNOWN, NULL, ETIMEDOUT, hostname_why(ETIMEDOUT) };
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

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/tlscache.h"
#include "common/tlscert.h"
#include "common/tlsctx_parts.h"
#include "common/tlskey.h"
#include "common/tlsticket.h"
#include "common/tlstrust.h"

#define PERIOD_MIN 600u         /* seconds: of a ticket key */
#define PERIOD_MAX 86400u

struct tlspool {
	struct list all;                /* of struct tlskept: whatever is in use */
	struct tlsticket *tickets;      /* owned: our own keys */
	struct bequest *left;           /* borrowed; session caches of the master before; NULL: there are none */
	unsigned long load;             /* counts loads */
	bool inherit;
};

/* ---- what is kept ---- */

void
tlspool_begin_key(const struct tlsbuild *b, struct tlskey *key, const char *kind)
{
	tlskey_begin(key, kind, b->pool->inherit ? 0 : b->pool->load);
}

struct tlskept *
tlspool_find(const struct tlsbuild *b, const char *key)
{
	return tlskept_find(&b->pool->all, key);
}

struct tlskept *
tlspool_keep(const struct tlsbuild *b, char *key, void *thing, void (*destroy)(void *thing))
{
	return tlskept_add(&b->pool->all, key, thing, destroy);
}

/* ---- certificates ---- */

static void
destroy_cert(void *thing)
{
	struct tlscert *cert = thing;

	tlscert_free(&cert);
}

static char *
key_of_cert(const struct tlsbuild *b, const char *path, const char *key)
{
	struct tlskey text;

	tlspool_begin_key(b, &text, "certificate");
	tlskey_add_file(&text, path);
	if (tlscert_key_is_stored(key)) {
		tlskey_add(&text, key);
		tlskey_printf(&text, "%lu\n", b->pool->load);
	} else {
		tlskey_add_file(&text, key);
	}
	tlskey_add_file(&text, b->tls->password_file);
	return tlskey_end(&text);
}

struct tlskept *
tlspool_certificate(const struct tlsbuild *b, const char *path, const char *key_path)
{
	char *key = key_of_cert(b, path, key_path);
	struct tlskept *kept = tlspool_find(b, key);
	struct tlscert *cert;

	if (kept == NULL && (cert = tlscert_load(path, key_path, b->tls->password_file, b->why, b->size)) != NULL)
		return tlspool_keep(b, key, cert, destroy_cert);
	mem_free(key);
	return kept;
}

/* ---- whom to trust ---- */

static void
destroy_trust(void *thing)
{
	struct tlstrust *trust = thing;

	tlstrust_free(&trust);
}

static bool
names_trust(const struct conf_tls *tls)
{
	return tls->client_certificate != NULL || tls->trusted_certificate != NULL;
}

/* Nobody has to be trusted where nobody is asked. */
static bool
wants_trust(const struct conf_tls *tls, bool peer)
{
	return peer ? tls->verify != SSL_VERIFY_OFF : names_trust(tls) || tls->crl != NULL;
}

static char *
key_of_trust(const struct tlsbuild *b)
{
	const struct conf_tls *tls = b->tls;
	struct tlskey text;

	tlspool_begin_key(b, &text, "trust");
	tlskey_add_file(&text, tls->client_certificate);
	tlskey_add_file(&text, tls->trusted_certificate);
	tlskey_add_file(&text, tls->crl);
	if (!names_trust(tls)) {
		tlskey_add_file(&text, tlstrust_system_file());
		tlskey_add_file(&text, tlstrust_system_folder());
	}
	return tlskey_end(&text);
}

static struct tlskept *
get_trust(const struct tlsbuild *b, bool peer)
{
	const struct conf_tls *tls = b->tls;
	char *key = key_of_trust(b);
	struct tlskept *kept = tlspool_find(b, key);
	struct tlstrust *trust;

	if (kept != NULL) {
		mem_free(key);
		return kept;
	}
	trust = peer && !names_trust(tls) ? tlstrust_load_system(tls->crl, b->why, b->size) :
	    tlstrust_load(tls->client_certificate, tls->trusted_certificate, tls->crl, b->why, b->size);
	if (trust != NULL)
		return tlspool_keep(b, key, trust, destroy_trust);
	mem_free(key);
	return NULL;
}

/* ---- session caches ---- */

static void
destroy_cache(void *thing)
{
	struct tlscache *cache = thing;

	tlscache_free(&cache);
}

/* By name and size, whatever files were read anew. */
static struct tlskept *
get_cache(const struct tlsbuild *b)
{
	char *key = mem_printf("cache %zu %s", b->tls->cache_bytes, b->tls->cache_zone);
	struct tlskept *kept = tlspool_find(b, key);
	struct tlscache *cache;

	if (kept == NULL && (cache = tlscache_new(b->tls->cache_zone, b->tls->cache_bytes, b->pool->left)) != NULL)
		return tlspool_keep(b, key, cache, destroy_cache);
	if (kept == NULL)
		snprintf(b->why, b->size, "session cache \"%s\" of %zu bytes cannot be made (%d: %s)",
		    b->tls->cache_zone, b->tls->cache_bytes, errno, strerror(errno));
	mem_free(key);
	return kept;
}

/* ---- bases ---- */

static void
destroy_base(void *thing)
{
	struct tlsbase *base = thing;

	tlsbase_free(&base);
}

static void
add_commands(struct tlskey *text, struct conf_pair *const *commands)
{
	for (; commands != NULL && *commands != NULL; commands++) {
		tlskey_add(text, (*commands)->name);
		tlskey_add(text, (*commands)->value);
	}
	tlskey_printf(text, ".\n");
}

static void
add_sessions(struct tlskey *text, const struct conf_tls *tls)
{
	tlskey_printf(text, "%d %zu %zu %d %ju %d\n", (int)tls->cache, tls->cache_builtin, tls->cache_bytes,
	    tls->tickets, (uintmax_t)tls->session_timeout_s, tls->session_reuse);
	tlskey_add(text, tls->cache_zone);
	tlskey_add_files(text, tls->ticket_keys);
}

static char *
key_of_base(const struct tlsbuild *b, bool peer, const char *trust)
{
	const struct conf_tls *tls = b->tls;
	struct tlskey text;

	tlspool_begin_key(b, &text, peer ? "peer" : "server");
	tlskey_printf(&text, "%u %d %u %d %d\n", tls->protocols, (int)tls->verify, tls->verify_depth,
	    tls->prefer_server_ciphers, tls->certificate_compression);
	tlskey_add(&text, tls->ciphers);
	tlskey_add(&text, tls->curves);
	tlskey_add_file(&text, tls->dhparam);
	add_commands(&text, tls->commands);
	add_sessions(&text, tls);
	tlskey_add(&text, trust);
	return tlskey_end(&text);
}

static int
use_tickets(struct tlsbase *base, const struct tlsbuild *b)
{
	const char *const *files = b->tls->ticket_keys;

	base->tickets = b->pool->tickets;
	if (files == NULL || *files == NULL)
		return 0;
	base->tickets = base->own_tickets = tlsticket_load(files, b->why, b->size);
	return base->tickets == NULL ? -1 : 0;
}

/* Takes the hold on `trust` over. */
static struct tlsbase *
make_base(const struct tlsbuild *b, bool peer, struct tlskept *trust)
{
	struct tlsbase *base = mem_alloc(sizeof(*base));
	bool good;

	base->trust = trust;
	if (!peer && b->tls->cache == SSL_CACHE_SHARED)
		good = (base->cache = get_cache(b)) != NULL && use_tickets(base, b) == 0;
	else
		good = peer || use_tickets(base, b) == 0;
	if (!good || (peer ? tlsbase_make_peer : tlsbase_make_server)(base, b->tls, b->why, b->size) == -1)
		tlsbase_free(&base);
	return base;
}

struct tlskept *
tlspool_base(const struct tlsbuild *b, bool peer)
{
	struct tlskept *trust = NULL, *kept;
	struct tlsbase *base;
	char *key;

	if (wants_trust(b->tls, peer) && (trust = get_trust(b, peer)) == NULL)
		return NULL;
	key = key_of_base(b, peer, trust == NULL ? NULL : trust->key);
	kept = tlspool_find(b, key);
	if (kept != NULL)
		tlskept_drop(&trust);
	else if ((base = make_base(b, peer, trust)) != NULL)
		return tlspool_keep(b, key, base, destroy_base);
	mem_free(key);
	return kept;
}

/* ---- the pool ---- */

struct tlspool *
tlspool_new(void)
{
	struct tlspool *pool = mem_alloc(sizeof(*pool));

	tlsctx_init();
	list_init(&pool->all);
	pool->tickets = tlsticket_new();
	pool->inherit = true;
	return pool;
}

void
tlspool_free(struct tlspool **poolp)
{
	struct tlspool *pool = *poolp;

	if (pool == NULL)
		return;
	MUST(list_is_empty(&pool->all));
	tlsticket_free(&pool->tickets);
	mem_free(pool);
	*poolp = NULL;
}

void
tlspool_settle(struct tlspool *pool)
{
	tlsticket_settle(pool->tickets);
}

void
tlspool_inherit(struct tlspool *pool, struct bequest *left)
{
	pool->left = left;
}

void
tlspool_leave_to(const struct tlspool *pool, struct bequest *bequest)
{
	LIST_EACH(node, &pool->all) {
		const struct tlskept *kept = LIST_ENTRY(node, struct tlskept, node);

		if (kept->destroy == destroy_cache)
			tlscache_leave_to(kept->thing, bequest);
	}
}

void
tlspool_import_tickets(struct tlspool *pool, const struct tlsticket_keys *keys)
{
	tlsticket_import(pool->tickets, keys);
}

void
tlspool_export_tickets(const struct tlspool *pool, struct tlsticket_keys *keys)
{
	tlsticket_export(pool->tickets, keys);
}

void
tlspool_load(struct tlspool *pool, bool inherit)
{
	pool->load++;
	pool->inherit = inherit;
}

unsigned
tlspool_ticket_period(const struct tlspool *pool)
{
	unsigned period_s = PERIOD_MIN;

	LIST_EACH(node, &pool->all) {
		struct tlskept *kept = LIST_ENTRY(node, struct tlskept, node);
		const struct tlsbase *base = kept->thing;
		long timeout_s;

		if (kept->destroy != destroy_base || base->tickets == NULL)
			continue;
		timeout_s = SSL_CTX_get_timeout(base->ssl);
		if (timeout_s > (long)period_s)
			period_s = timeout_s < (long)PERIOD_MAX ? (unsigned)timeout_s : PERIOD_MAX;
	}
	return period_s;
}

void
tlspool_rotate_tickets(struct tlspool *pool)
{
	tlsticket_rotate(pool->tickets);
}

void
tlspool_unlock_dead(struct tlspool *pool, struct board_span dead)
{
	LIST_EACH(node, &pool->all) {
		struct tlskept *kept = LIST_ENTRY(node, struct tlskept, node);

		if (kept->destroy == destroy_cache)
			tlscache_unlock_dead(kept->thing, dead);
	}
}

#include <openssl/err.h>
#include <openssl/evp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/tlscache.h"
#include "common/tlscert.h"
#include "common/tlsctx_parts.h"
#include "common/tlserror.h"
#include "common/tlsstaple.h"
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

/* Where something is built: the pool, and where the reason goes. */
struct build {
	struct tlspool *pool;
	const struct conf_tls *tls;
	char *why;
	size_t size;
};

/* ---- keys of what is kept ---- */

/* A text in the making. */
struct text {
	FILE *stream;
	char *bytes;
	size_t len;
};

static void
text_begin(struct text *text, const struct tlspool *pool, const char *kind)
{
	*text = (struct text){ 0 };
	text->stream = open_memstream(&text->bytes, &text->len);
	if (text->stream == NULL)
		must_die("no memory for a key");
	fprintf(text->stream, "%s %lu\n", kind, pool->inherit ? 0 : pool->load);
}

/* A word, or that there is none. */
static void
text_add(struct text *text, const char *word)
{
	if (word == NULL)
		fputs("-\n", text->stream);
	else
		fprintf(text->stream, "%zu %s\n", strlen(word), word);
}

/* A file, and which: another one of the same name, or the same one changed, is another key. */
static void
text_add_file(struct text *text, const char *path)
{
	struct stat st;

	text_add(text, path);
	if (path == NULL)
		return;
	if (stat(path, &st) == -1)
		fprintf(text->stream, "? %d\n", errno);
	else
		fprintf(text->stream, "%jx %jx %jx %jd.%ld %jd.%ld\n", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		    (uintmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		    st.st_ctim.tv_nsec);
}

static void
text_add_files(struct text *text, const char *const *paths)
{
	for (; paths != NULL && *paths != NULL; paths++)
		text_add_file(text, *paths);
	fputs(".\n", text->stream);
}

static char *
text_end(struct text *text)
{
	char *key;

	if (fclose(text->stream) != 0)
		must_die("no memory for a key");
	key = mem_strdup(text->bytes);
	free(text->bytes);
	return key;
}

/* ---- certificates ---- */

static void
destroy_cert(void *thing)
{
	struct tlscert *cert = thing;

	tlscert_free(&cert);
}

static char *
key_of_cert(const struct build *b, const char *path, const char *key)
{
	struct text text;

	text_begin(&text, b->pool, "certificate");
	text_add_file(&text, path);
	if (tlscert_key_is_stored(key)) {
		text_add(&text, key);
		fprintf(text.stream, "%lu\n", b->pool->load);
	} else {
		text_add_file(&text, key);
	}
	text_add_file(&text, b->tls->password_file);
	return text_end(&text);
}

static struct tlskept *
get_cert(const struct build *b, const char *path, const char *key_path)
{
	char *key = key_of_cert(b, path, key_path);
	struct tlskept *kept = tlskept_find(&b->pool->all, key);
	struct tlscert *cert;

	if (kept == NULL && (cert = tlscert_load(path, key_path, b->tls->password_file, b->why, b->size)) != NULL)
		return tlskept_add(&b->pool->all, key, cert, destroy_cert);
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
key_of_trust(const struct build *b)
{
	const struct conf_tls *tls = b->tls;
	struct text text;

	text_begin(&text, b->pool, "trust");
	text_add_file(&text, tls->client_certificate);
	text_add_file(&text, tls->trusted_certificate);
	text_add_file(&text, tls->crl);
	if (!names_trust(tls)) {
		text_add_file(&text, tlstrust_system_file());
		text_add_file(&text, tlstrust_system_folder());
	}
	return text_end(&text);
}

static struct tlskept *
get_trust(const struct build *b, bool peer)
{
	const struct conf_tls *tls = b->tls;
	char *key = key_of_trust(b);
	struct tlskept *kept = tlskept_find(&b->pool->all, key);
	struct tlstrust *trust;

	if (kept != NULL) {
		mem_free(key);
		return kept;
	}
	trust = peer && !names_trust(tls) ? tlstrust_load_system(tls->crl, b->why, b->size) :
	    tlstrust_load(tls->client_certificate, tls->trusted_certificate, tls->crl, b->why, b->size);
	if (trust != NULL)
		return tlskept_add(&b->pool->all, key, trust, destroy_trust);
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
get_cache(const struct build *b)
{
	char *key = mem_printf("cache %zu %s", b->tls->cache_bytes, b->tls->cache_zone);
	struct tlskept *kept = tlskept_find(&b->pool->all, key);
	struct tlscache *cache;

	if (kept == NULL && (cache = tlscache_new(b->tls->cache_zone, b->tls->cache_bytes, b->pool->left)) != NULL)
		return tlskept_add(&b->pool->all, key, cache, destroy_cache);
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
add_commands(struct text *text, struct conf_pair *const *commands)
{
	for (; commands != NULL && *commands != NULL; commands++) {
		text_add(text, (*commands)->name);
		text_add(text, (*commands)->value);
	}
	fputs(".\n", text->stream);
}

static void
add_sessions(struct text *text, const struct conf_tls *tls)
{
	fprintf(text->stream, "%d %zu %zu %d %ju %d\n", (int)tls->cache, tls->cache_builtin, tls->cache_bytes,
	    tls->tickets, (uintmax_t)tls->session_timeout_s, tls->session_reuse);
	text_add(text, tls->cache_zone);
	text_add_files(text, tls->ticket_keys);
}

static char *
key_of_base(const struct build *b, bool peer, const char *trust)
{
	const struct conf_tls *tls = b->tls;
	struct text text;

	text_begin(&text, b->pool, peer ? "peer" : "server");
	fprintf(text.stream, "%u %d %u %d %d\n", tls->protocols, (int)tls->verify, tls->verify_depth,
	    tls->prefer_server_ciphers, tls->certificate_compression);
	text_add(&text, tls->ciphers);
	text_add(&text, tls->curves);
	text_add_file(&text, tls->dhparam);
	add_commands(&text, tls->commands);
	add_sessions(&text, tls);
	text_add(&text, trust);
	return text_end(&text);
}

static int
use_tickets(struct tlsbase *base, const struct build *b)
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
make_base(const struct build *b, bool peer, struct tlskept *trust)
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

static struct tlskept *
get_base(const struct build *b, bool peer)
{
	struct tlskept *trust = NULL, *kept;
	struct tlsbase *base;
	char *key;

	if (wants_trust(b->tls, peer) && (trust = get_trust(b, peer)) == NULL)
		return NULL;
	key = key_of_base(b, peer, trust == NULL ? NULL : trust->key);
	kept = tlskept_find(&b->pool->all, key);
	if (kept != NULL)
		tlskept_drop(&trust);
	else if ((base = make_base(b, peer, trust)) != NULL)
		return tlskept_add(&b->pool->all, key, base, destroy_base);
	mem_free(key);
	return kept;
}

/* ---- contexts ---- */

static void
destroy_context(void *thing)
{
	struct tlsctx *context = thing;

	tlsstaple_free(&context->staple);
	for (size_t i = 0; i < context->cert_count; i++)
		tlskept_drop(&context->certs_kept[i]);
	tlskept_drop(&context->base_kept);
	mem_free(context->certs_kept);
	mem_free(context->certs);
	mem_free(context);
}

static int
get_certs(struct tlsctx *context, const struct build *b)
{
	const char **paths = b->tls->certificates, **keys = b->tls->keys;
	size_t count = 0;

	while (paths != NULL && paths[count] != NULL)
		count++;
	context->certs_kept = mem_array(count + 1, sizeof(struct tlskept *));
	context->certs = mem_array(count + 1, sizeof(struct tlscert *));
	for (size_t i = 0; i < count; i++) {
		if (keys == NULL || keys[i] == NULL) {
			snprintf(b->why, b->size, "certificate \"%s\" has no key", paths[i]);
			return -1;
		}
		if ((context->certs_kept[i] = get_cert(b, paths[i], keys[i])) == NULL)
			return -1;
		context->certs[i] = context->certs_kept[i]->thing;
		context->cert_count++;
	}
	return 0;
}

/* What OpenSSL would object to in a handshake is said now: weak keys, say. */
static int
try_certs(const struct tlsctx *context, const struct build *b)
{
	SSL *ssl = SSL_new(context->base->ssl);
	int result = 0;

	MUST(ssl != NULL);
	for (size_t i = 0; i < context->cert_count && result == 0; i++) {
		result = tlscert_attach(context->certs[i], ssl);
		if (result == -1)
			tlserror_write(b->why, b->size, "SSL_CTX_use_certificate(\"%s\") failed",
			    tlscert_path(context->certs[i]));
	}
	SSL_free(ssl);
	return result;
}

/*
 * Two contexts may take each other's sessions only if they would have let the same clients
 * in: also when it is a CRL that has changed in between.
 */
static void
mark(struct tlsctx *context, const struct conf_tls *tls)
{
	const struct tlstrust *trust = context->base->trust == NULL ? NULL : context->base->trust->thing;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned rules[] = { (unsigned)tls->verify, tls->verify_depth };
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	EVP_DigestUpdate(digest, rules, sizeof(rules));
	if (trust != NULL)
		EVP_DigestUpdate(digest, trust->digest, sizeof(trust->digest));
	for (size_t i = 0; i < context->cert_count; i++)
		if (X509_digest(tlscert_leaf(context->certs[i]), EVP_sha256(), md, &len) == 1)
			EVP_DigestUpdate(digest, md, len);
	EVP_DigestFinal_ex(digest, md, NULL);
	EVP_MD_CTX_free(digest);
	memcpy(context->sid, md, sizeof(context->sid));
}

static int
add_staple(struct tlsctx *context, const struct build *b)
{
	if (b->tls->stapling_file == NULL)
		return 0;
	context->staple = tlsstaple_load(b->tls->stapling_file, context->certs, context->cert_count, b->why, b->size);
	return context->staple == NULL ? -1 : 0;
}

/* Parts first: with them in hand, the key of the whole is short work. */
static struct tlsctx *
gather(const struct build *b, bool peer)
{
	struct tlsctx *context = mem_alloc(sizeof(*context));

	context->base_kept = get_base(b, peer);
	if (context->base_kept != NULL) {
		context->base = context->base_kept->thing;
		if (get_certs(context, b) == 0)
			return context;
	}
	destroy_context(context);
	return NULL;
}

static char *
key_of_context(const struct tlsctx *context, const struct build *b)
{
	struct text text;

	text_begin(&text, b->pool, "context");
	text_add(&text, context->base_kept->key);
	for (size_t i = 0; i < context->cert_count; i++)
		text_add(&text, context->certs_kept[i]->key);
	text_add(&text, ".");
	text_add_file(&text, b->tls->stapling_file);
	return text_end(&text);
}

static struct tlsctx *
build(const struct build *b, bool peer)
{
	struct tlsctx *context = gather(b, peer);
	struct tlskept *known;
	char *key;

	if (context == NULL)
		return NULL;
	key = key_of_context(context, b);
	known = tlskept_find(&b->pool->all, key);
	if (known == NULL && try_certs(context, b) == 0 && add_staple(context, b) == 0) {
		mark(context, b->tls);
		context->self = tlskept_add(&b->pool->all, key, context, destroy_context);
		return context;
	}
	destroy_context(context);
	mem_free(key);
	return known == NULL ? NULL : known->thing;
}

struct tlsctx *
tlsctx_server(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size)
{
	const struct build b = { .pool = pool, .tls = tls, .why = why, .size = size };

	if ((tls->certificates == NULL || *tls->certificates == NULL) && !tls->reject_handshake) {
		snprintf(why, size, "there is no certificate");
		return NULL;
	}
	return build(&b, false);
}

struct tlsctx *
tlsctx_peer(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size)
{
	const struct build b = { .pool = pool, .tls = tls, .why = why, .size = size };

	return build(&b, true);
}

void
tlsctx_release(struct tlsctx **contextp)
{
	struct tlskept *kept = *contextp == NULL ? NULL : (*contextp)->self;

	*contextp = NULL;
	tlskept_drop(&kept);
}

const struct tlscert *
tlsctx_certificate(const struct tlsctx *context, size_t index)
{
	return index < context->cert_count ? context->certs[index] : NULL;
}

time_t
tlsctx_staple_expiry(const struct tlsctx *context)
{
	return context->staple == NULL ? 0 : tlsstaple_expiry(context->staple);
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

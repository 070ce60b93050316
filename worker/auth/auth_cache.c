#include "worker/auth/auth_cache.h"

#include <stdatomic.h>
#include <string.h>

#include "common/authcache.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/zone.h"
#include "worker/auth/auth_pack.h"
#include "worker/auth/auth_seal.h"
#include "worker/auth/auth_source.h"

/* What a MAC is for: none can stand for another. */
enum { PURPOSE_QUESTION = 'Q', PURPOSE_REFUSED = 'R', PURPOSE_PROOF = 'P', PURPOSE_SEAL = 'S' };

struct auth_cache {
	struct auth_seal *seal;         /* owned */
	uint32_t slot;
};

/* Everything that one question leads to. */
struct keys {
	unsigned char question[AUTHCACHE_KEY];  /* names the accepted answer */
	unsigned char refused[AUTHCACHE_KEY];   /* names the refusal of this password */
	unsigned char proof[AUTH_SEAL_KEY];     /* only who has the password has it */
	unsigned char seal[AUTH_SEAL_KEY];
};

/* What is sealed beside the text. */
struct label {
	unsigned char key[AUTHCACHE_KEY];
	uint64_t until_ms, epoch;
};

_Static_assert(sizeof(struct label) == AUTHCACHE_KEY + 16, "padding in label");
_Static_assert(AUTH_SEAL_KEY == AUTHCACHE_KEY && AUTH_SEAL_KEY == CONF_CACHE_SECRET && AUTH_SEAL_KEY == AUTH_TRACE,
    "all are of one size");

struct auth_cache *
auth_cache_new(uint32_t slot)
{
	struct auth_seal *seal = auth_seal_new();
	struct auth_cache *cache;

	if (seal == NULL) {
		log_say(LOG_ERROR, "auth_cache is off: OpenSSL has no HMAC-SHA256 or AES-256-GCM");
		return NULL;
	}
	cache = mem_alloc(sizeof(*cache));
	*cache = (struct auth_cache){ .seal = seal, .slot = slot };
	return cache;
}

void
auth_cache_free(struct auth_cache **cachep)
{
	if (*cachep != NULL)
		auth_seal_free(&(*cachep)->seal);
	mem_free(*cachep);
	*cachep = NULL;
}

static bool
is_token(const struct credentials *c)
{
	return ((unsigned)c->method & METHODS_TOKEN) != 0;
}

/* Only what is shown whole can be recognized; tokens that we judge ourselves cost less than this. */
static bool
can_be_kept(const struct auth_question *question, const struct conf_source *source)
{
	const struct credentials *c = question->credentials;
	const struct conf_cache *conf = question->server->auth_cache;

	if (conf == NULL || conf->accepted == NULL || conf->refused == NULL || conf->secret == NULL || c->pass == NULL)
		return false;
	if (is_token(c))
		return source->kind == SOURCE_INTROSPECTION;
	return c->method == METHOD_PLAIN && source->kind != SOURCE_PASSTHROUGH;
}

static void
add_number(struct auth_seal *seal, uint64_t number)
{
	auth_seal_bytes(seal, &number, sizeof(number));
}

/* An HTTP server is told more of a client than others, and may go by any of it. */
static void
add_http(struct auth_seal *seal, const struct auth_question *question)
{
	const struct tls_facts *tls = &question->facts->tls;
	const char *const texts[] = {
		question->facts->client_host, tls->protocol, tls->cipher, tls->verify, tls->subject, tls->issuer,
		tls->serial, tls->fingerprint, tls->fingerprint_sha256,
	};
	struct conf_header **headers = question->server->auth_http_headers;
	const char **kept = question->server->kept_headers;

	add_number(seal, question->attempt);
	add_number(seal, question->server->auth_http_pass_client_cert);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		auth_seal_text(seal, texts[i]);
	for (; headers != NULL && *headers != NULL; headers++) {
		auth_seal_text(seal, (*headers)->name);
		auth_seal_text(seal, (*headers)->value);
	}
	/* An answer that did not keep them is none for who wants them. */
	for (; kept != NULL && *kept != NULL; kept++)
		auth_seal_text(seal, *kept);
}

/* All that decides but the password. A token says by itself who it is, so that it is part of the name. */
static void
add_question(struct auth_seal *seal, const struct auth_question *question, const struct conf_source *source)
{
	const struct credentials *c = question->credentials;
	const struct addr *client = question->facts->client;

	auth_seal_text(seal, conf_source_directive(source->kind));
	auth_seal_text(seal, source->key);
	add_number(seal, question->server->protocol);
	add_number(seal, c->method);
	auth_seal_text(seal, c->user);
	auth_seal_text(seal, c->authz);
	auth_seal_text(seal, is_token(c) ? c->pass : NULL);
	auth_seal_text(seal, question->server->name);
	add_number(seal, client->family);
	auth_seal_bytes(seal, client->ip, sizeof(client->ip));
	add_number(seal, question->facts->secure);
	if (source->kind == SOURCE_HTTP)
		add_http(seal, question);
}

static void
derive(struct auth_seal *seal, const struct auth_question *question, const unsigned char *name, char purpose,
    unsigned char out[AUTH_SEAL_KEY])
{
	auth_seal_begin(seal, question->server->auth_cache->secret, purpose);
	auth_seal_bytes(seal, name, AUTHCACHE_KEY);
	auth_seal_text(seal, question->credentials->pass);
	auth_seal_end(seal, out);
}

static void
make_keys(struct auth_seal *seal, const struct auth_question *question, const struct conf_source *source,
    struct keys *keys)
{
	auth_seal_begin(seal, question->server->auth_cache->secret, PURPOSE_QUESTION);
	add_question(seal, question, source);
	auth_seal_end(seal, keys->question);
	derive(seal, question, keys->question, PURPOSE_REFUSED, keys->refused);
	derive(seal, question, keys->question, PURPOSE_PROOF, keys->proof);
	derive(seal, question, keys->question, PURPOSE_SEAL, keys->seal);
}

static struct label
label_of(const unsigned char *key, const struct authcache_entry *entry)
{
	struct label label = { .until_ms = entry->until_ms, .epoch = entry->epoch };

	memcpy(label.key, key, sizeof(label.key));
	return label;
}

static struct auth_sealed
sealed_of(struct authcache_entry *entry, const struct label *label)
{
	return (struct auth_sealed){
		.text = entry->text, .text_len = sizeof(entry->text), .label = label, .label_len = sizeof(*label),
		.nonce = entry->nonce, .tag = entry->tag,
	};
}

/* No cryptography happens while the bucket is locked: the entry is copied, out or in. */
static bool
fetch(const struct auth_cache *cache, struct zone *zone, const unsigned char *key, struct authcache_entry *out)
{
	struct authcache_entry *entry = zone_find(zone, cache->slot, key, false);

	if (entry == NULL)
		return false;
	*out = *entry;
	zone_done(zone, cache->slot, entry);
	return true;
}

static void
store(const struct auth_cache *cache, struct zone *zone, const unsigned char *key, const struct authcache_entry *from)
{
	struct authcache_entry *entry = zone_find(zone, cache->slot, key, true);

	if (entry == NULL)
		return;
	*entry = *from;
	zone_done(zone, cache->slot, entry);
}

/* Answers from a file that is another now are void. So is what was to be kept longer than now is allowed. */
static bool
is_good(const struct authcache_entry *entry, const struct conf_source *source, uint64_t now_ms, uint64_t ttl)
{
	if (entry->until_ms <= now_ms || entry->until_ms - now_ms > ttl)
		return false;
	return source->epoch == NULL || (entry->epoch != 0 && entry->epoch == atomic_load(source->epoch));
}

static bool
look_up(struct auth_cache *cache, struct zone *zone, const unsigned char *key, const struct keys *keys,
    struct authcache_entry *entry)
{
	struct label label;
	struct auth_sealed sealed;

	if (!fetch(cache, zone, key, entry) || !mem_same_secret(entry->proof, keys->proof, sizeof(keys->proof)))
		return false;
	label = label_of(key, entry);
	sealed = sealed_of(entry, &label);
	return auth_seal_open(cache->seal, keys->seal, &sealed);
}

static void
leave_trace(struct auth_trace *trace, const struct keys *keys)
{
	memcpy(trace->name, keys->question, sizeof(trace->name));
	memcpy(trace->proof, keys->proof, sizeof(trace->proof));
}

/* The zone's answer to the question of these keys. */
static bool
find(struct auth_cache *cache, const struct auth_question *question, const struct conf_source *source, bool accepted,
    const struct keys *keys, uint64_t now_ms, struct auth_answer *answer)
{
	const struct conf_cache *conf = question->server->auth_cache;
	const unsigned char *key = accepted ? keys->question : keys->refused;
	struct authcache_entry entry;
	bool found = look_up(cache, accepted ? conf->accepted : conf->refused, key, keys, &entry) &&
	    is_good(&entry, source, now_ms, accepted ? conf->ttl : conf->negative) &&
	    auth_unpack(answer, entry.text, sizeof(entry.text));

	if (found) {
		answer->source = source;
		answer->epoch = entry.epoch;
		answer->cached = true;
		if (accepted)
			leave_trace(&answer->trace, keys);
	}
	mem_wipe(&entry, sizeof(entry));
	return found;
}

bool
auth_cache_get(struct auth_cache *cache, const struct auth_question *question, const struct conf_source *source,
    uint64_t now_ms, struct auth_answer *answer)
{
	struct keys keys;
	bool found;

	if (cache == NULL || !can_be_kept(question, source))
		return false;
	make_keys(cache->seal, question, source, &keys);
	found = find(cache, question, source, true, &keys, now_ms, answer) ||
	    (question->server->auth_cache->negative > 0 && find(cache, question, source, false, &keys, now_ms, answer));
	mem_wipe(&keys, sizeof(keys));
	return found;
}

/* How long the answer may be kept; 0: not at all. */
static uint64_t
life_of(const struct conf_cache *conf, const struct conf_source *source, const struct auth_answer *answer)
{
	uint64_t ttl = answer->outcome == AUTH_ACCEPTED ? conf->ttl : conf->negative;

	if (answer->outcome == AUTH_UNAVAILABLE || answer->undecided || (source->epoch != NULL && answer->epoch == 0))
		return 0;
	return answer->good_ms != 0 && answer->good_ms < ttl ? answer->good_ms : ttl;
}

void
auth_cache_put(struct auth_cache *cache, const struct auth_question *question, const struct conf_source *source,
    uint64_t now_ms, const struct auth_answer *answer)
{
	const struct conf_cache *conf = question->server->auth_cache;
	bool accepted = answer->outcome == AUTH_ACCEPTED;
	struct authcache_entry entry = { .epoch = answer->epoch };
	struct auth_sealed sealed;
	struct label label;
	struct keys keys;
	uint64_t life_ms;

	if (cache == NULL || !can_be_kept(question, source) || (life_ms = life_of(conf, source, answer)) == 0)
		return;
	entry.until_ms = now_ms + life_ms;
	if (auth_pack(entry.text, sizeof(entry.text), answer)) {
		make_keys(cache->seal, question, source, &keys);
		label = label_of(accepted ? keys.question : keys.refused, &entry);
		sealed = sealed_of(&entry, &label);
		memcpy(entry.proof, keys.proof, sizeof(entry.proof));
		auth_seal_close(cache->seal, keys.seal, &sealed);
		store(cache, accepted ? conf->accepted : conf->refused, label.key, &entry);
		mem_wipe(&keys, sizeof(keys));
	}
	mem_wipe(&entry, sizeof(entry));
}

void
auth_cache_forget(struct auth_cache *cache, const struct conf_cache *conf, const struct auth_trace *trace)
{
	struct authcache_entry *entry = zone_find(conf->accepted, cache->slot, trace->name, false);

	if (entry == NULL)
		return;
	if (mem_same_secret(entry->proof, trace->proof, sizeof(entry->proof)))
		entry->until_ms = 0;
	zone_done(conf->accepted, cache->slot, entry);
}

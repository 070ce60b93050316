#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/tlscert.h"
#include "common/tlsctx_parts.h"
#include "common/tlserror.h"
#include "common/tlskey.h"
#include "common/tlsstaple.h"
#include "common/tlstrust.h"

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
get_certs(struct tlsctx *context, const struct tlsbuild *b)
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
		if ((context->certs_kept[i] = tlspool_certificate(b, paths[i], keys[i])) == NULL)
			return -1;
		context->certs[i] = context->certs_kept[i]->thing;
		context->cert_count++;
	}
	return 0;
}

/* What OpenSSL would object to in a handshake is said now: weak keys, say. */
static int
try_certs(const struct tlsctx *context, const struct tlsbuild *b)
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
add_staple(struct tlsctx *context, const struct tlsbuild *b)
{
	if (b->tls->stapling_file == NULL)
		return 0;
	context->staple = tlsstaple_load(b->tls->stapling_file, context->certs, context->cert_count, b->why, b->size);
	return context->staple == NULL ? -1 : 0;
}

/* Parts first: with them in hand, the key of the whole is short work. */
static struct tlsctx *
gather(const struct tlsbuild *b, bool peer)
{
	struct tlsctx *context = mem_alloc(sizeof(*context));

	context->base_kept = tlspool_base(b, peer);
	if (context->base_kept != NULL) {
		context->base = context->base_kept->thing;
		if (get_certs(context, b) == 0)
			return context;
	}
	destroy_context(context);
	return NULL;
}

static char *
key_of_context(const struct tlsctx *context, const struct tlsbuild *b)
{
	struct tlskey text;

	tlspool_begin_key(b, &text, "context");
	tlskey_add(&text, context->base_kept->key);
	for (size_t i = 0; i < context->cert_count; i++)
		tlskey_add(&text, context->certs_kept[i]->key);
	tlskey_add(&text, ".");
	tlskey_add_file(&text, b->tls->stapling_file);
	return tlskey_end(&text);
}

static struct tlsctx *
build(const struct tlsbuild *b, bool peer)
{
	struct tlsctx *context = gather(b, peer);
	struct tlskept *known;
	char *key;

	if (context == NULL)
		return NULL;
	key = key_of_context(context, b);
	known = tlspool_find(b, key);
	if (known == NULL && try_certs(context, b) == 0 && add_staple(context, b) == 0) {
		mark(context, b->tls);
		context->self = tlspool_keep(b, key, context, destroy_context);
		return context;
	}
	destroy_context(context);
	mem_free(key);
	return known == NULL ? NULL : known->thing;
}

struct tlsctx *
tlsctx_server(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size)
{
	const struct tlsbuild b = { .pool = pool, .tls = tls, .why = why, .size = size };

	if ((tls->certificates == NULL || *tls->certificates == NULL) && !tls->reject_handshake) {
		snprintf(why, size, "there is no certificate");
		return NULL;
	}
	return build(&b, false);
}

struct tlsctx *
tlsctx_peer(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size)
{
	const struct tlsbuild b = { .pool = pool, .tls = tls, .why = why, .size = size };

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

#include "worker/net/tlspeer.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"

#define PLACES 256

struct place {
	const struct conf_tls *tls;     /* borrowed; NULL: free */
	char *name;                     /* owned */
	SSL_SESSION *session;           /* owned */
};

static struct place places[PLACES];

static struct place *
place_of(const struct conf_tls *tls, const char *name)
{
	uint64_t hash = 14695981039346656037u ^ (uintptr_t)tls;         /* FNV-1a: peers are ours to choose */

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return &places[(hash ^ hash >> 32) % PLACES];
}

static bool
belongs(const struct place *place, const struct conf_tls *tls, const char *name)
{
	return place->tls == tls && strcmp(place->name, name) == 0;
}

static void
empty(struct place *place)
{
	SSL_SESSION_free(place->session);
	mem_free(place->name);
	*place = (struct place){ .tls = NULL };
}

/* Where an SSL keeps its peer's settings and name. */
static int
index_of_tls(void)
{
	static int made = -1;

	if (made == -1)
		made = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	MUST(made != -1);
	return made;
}

static int
index_of_name(void)
{
	static int made = -1;

	if (made == -1)
		made = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	MUST(made != -1);
	return made;
}

/* Returns 1 when it keeps the reference that it was given. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	const struct conf_tls *tls = SSL_get_ex_data(ssl, index_of_tls());
	const char *name = SSL_get_ex_data(ssl, index_of_name());
	struct place *place;

	if (tls == NULL || name == NULL || !SSL_SESSION_is_resumable(session))
		return 0;
	place = place_of(tls, name);
	empty(place);
	*place = (struct place){ .tls = tls, .name = mem_strdup(name), .session = session };
	return 1;
}

void
tlspeer_offer(SSL *ssl, const struct conf_tls *tls, const char *name)
{
	SSL_CTX *context = SSL_get_SSL_CTX(ssl);
	struct place *place = place_of(tls, name);

	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_session);
	MUST(SSL_set_ex_data(ssl, index_of_tls(), (void *)(uintptr_t)tls) == 1 &&
	    SSL_set_ex_data(ssl, index_of_name(), (void *)(uintptr_t)name) == 1);
	if (belongs(place, tls, name))
		(void)SSL_set_session(ssl, place->session);
}

void
tlspeer_forget(const struct conf_tls *tls, const char *name)
{
	struct place *place = place_of(tls, name);

	if (belongs(place, tls, name))
		empty(place);
}

void
tlspeer_clear(void)
{
	for (size_t i = 0; i < PLACES; i++)
		empty(&places[i]);
}

#include "master/tls_build.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/tlscert.h"
#include "common/tlsctx.h"
#include "master/conf_say.h"

#define WHY 1024
#define DAY 86400
#define SOON (14 * DAY)         /* who renews by a robot has renewed by then */

/* The files of which something was said: many servers may share one. */
struct told {
	const char **paths;     /* of borrowed texts */
	size_t count;
};

/* Was it told before? It has been now. */
static bool
tell_once(struct told *told, const char *path)
{
	for (size_t i = 0; i < told->count; i++)
		if (strcmp(told->paths[i], path) == 0)
			return false;
	told->paths = mem_resize(told->paths, (told->count + 1) * sizeof(*told->paths));
	told->paths[told->count++] = path;
	return true;
}

/* ---- what is unwise ---- */

static void
look_at_secret(struct told *told, const struct conf_tls *tls, const char *path)
{
	struct stat st;

	if (path != NULL && stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0 && tell_once(told, path))
		conf_say(LOG_WARN, &tls->place, "\"%s\" holds secrets and everybody may read it", path);
}

static void
look_at_secrets(struct told *told, const struct conf_tls *tls)
{
	for (const char **key = tls->keys; key != NULL && *key != NULL; key++)
		look_at_secret(told, tls, *key);
	for (const char **key = tls->ticket_keys; key != NULL && *key != NULL; key++)
		look_at_secret(told, tls, *key);
	look_at_secret(told, tls, tls->password_file);
}

static void
look_at_expiry(struct told *told, const struct conf_tls *tls, const char *what, const char *path, time_t expiry)
{
	time_t now = time(NULL);
	struct tm tm;
	char date[32];

	if (expiry - now >= SOON || gmtime_r(&expiry, &tm) == NULL || !tell_once(told, path))
		return;
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
	if (expiry <= now)
		conf_say(LOG_WARN, &tls->place, "%s \"%s\" has expired on %s", what, path, date);
	else
		conf_say(LOG_WARN, &tls->place, "%s \"%s\" expires in %ld days, on %s", what, path,
		    (long)((expiry - now) / DAY), date);
}

static void
look_at_expiries(struct told *told, const struct conf_tls *tls)
{
	const struct tlscert *cert;

	for (size_t i = 0; (cert = tlsctx_certificate(tls->context, i)) != NULL; i++)
		look_at_expiry(told, tls, "certificate", tlscert_path(cert), tlscert_expiry(cert));
	/* These are short-lived; only one that is no use already is worth a word. */
	if (tlsctx_staple_expiry(tls->context) != 0 && tlsctx_staple_expiry(tls->context) <= time(NULL))
		look_at_expiry(told, tls, "OCSP response", tls->stapling_file, tlsctx_staple_expiry(tls->context));
}

/* ---- building ---- */

typedef struct tlsctx *make_context(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size);

static int
build_side(struct tlspool *pool, struct told *told, struct conf_tls *tls, make_context *make)
{
	char why[WHY];

	if (!tls->needed)
		return 0;
	tls->context = make(pool, tls, why, sizeof(why));
	if (tls->context == NULL) {
		conf_say(LOG_EMERG, &tls->place, "%s", why);
		return -1;
	}
	look_at_secrets(told, tls);
	look_at_expiries(told, tls);
	return 0;
}

/*
 * What a source may ask for in an answer, though nothing here does. If that cannot be had,
 * no harm is done until it does ask.
 */
static void
build_spare(struct tlspool *pool, struct conf_tls *tls)
{
	char why[WHY];

	tls->context = tlsctx_peer(pool, tls, why, sizeof(why));
	if (tls->context == NULL)
		conf_say(LOG_NOTICE, &tls->place, "no TLS towards backends, should a source ask for it: %s", why);
}

static int
build_server(struct tlspool *pool, struct told *told, struct server *server)
{
	if (build_side(pool, told, &server->tls, tlsctx_server) == -1 ||
	    build_side(pool, told, &server->proxy_tls, tlsctx_peer) == -1 ||
	    build_side(pool, told, &server->auth_http_tls, tlsctx_peer) == -1)
		return -1;
	if (server->proxy_tls.context == NULL && server->auth != NULL)
		build_spare(pool, &server->proxy_tls);
	return 0;
}

int
tls_build(struct tlspool *pool, struct conf *conf)
{
	struct told told = { 0 };
	int result = 0;

	tlspool_load(pool, conf->ssl_object_cache_inheritable);
	for (size_t i = 0; i < conf->server_count && result == 0; i++)
		result = build_server(pool, &told, conf->servers[i]);
	mem_free(told.paths);
	return result;
}

void
tls_release(struct conf *conf)
{
	for (size_t i = 0; i < conf->server_count; i++) {
		struct server *server = conf->servers[i];

		tlsctx_release(&server->tls.context);
		tlsctx_release(&server->proxy_tls.context);
		tlsctx_release(&server->auth_http_tls.context);
	}
}

static void
visit_side(const struct conf_tls *tls, void (*visit)(void *ctx, const struct conf_tls *tls, const struct tlscert *cert),
    void *ctx)
{
	const struct tlscert *cert;

	if (tls->context == NULL)
		return;
	for (size_t i = 0; (cert = tlsctx_certificate(tls->context, i)) != NULL; i++)
		visit(ctx, tls, cert);
}

void
tls_each_certificate(const struct conf *conf,
    void (*visit)(void *ctx, const struct conf_tls *tls, const struct tlscert *cert), void *ctx)
{
	for (size_t i = 0; i < conf->server_count; i++) {
		visit_side(&conf->servers[i]->tls, visit, ctx);
		visit_side(&conf->servers[i]->proxy_tls, visit, ctx);
		visit_side(&conf->servers[i]->auth_http_tls, visit, ctx);
	}
}

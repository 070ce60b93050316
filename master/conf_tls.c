#include "master/conf_tls.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

/* Where the server, or else mail{}, says this. */
static const struct conf_place *
place_of(const struct conf_build *b, const struct server *server, const char *directive)
{
	size_t index = conf_table_index(conf_table_find(directive, IN_SERVER));
	const struct conf_place *own = &b->draft->server_seen[server->index][index];

	return own->line != 0 ? own : &b->draft->mail_seen[index];
}

/* The last `listen ... ssl` of the server, or NULL. */
static const struct conf_place *
find_ssl_listen(const struct conf_build *b, const struct server *server)
{
	const struct conf_place *found = NULL;

	for (struct draft_listen **l = b->draft->listens; l != NULL && *l != NULL; l++)
		if ((*l)->server == server && (*l)->ssl)
			found = &(*l)->name->place;
	return found;
}

static size_t
count(const char *const *list)
{
	size_t count = 0;

	while (list != NULL && list[count] != NULL)
		count++;
	return count;
}

/* The certificates behind `starttls` or `listen ... ssl`, which is `mode`, each with its key. */
static int
check_certificates(const struct conf_tls *tls, const char *mode, const struct conf_place *place)
{
	size_t certificates = count(tls->certificates), keys = count(tls->keys);

	if (certificates == 0 && tls->reject_handshake)
		return 0;
	if (certificates != 0 && keys >= certificates)
		return 0;
	if (certificates == 0 || keys == 0)
		conf_say(LOG_EMERG, place, "no \"%s\" is defined for the \"%s\" directive",
		    certificates == 0 ? "ssl_certificate" : "ssl_certificate_key", mode);
	else
		conf_say(LOG_EMERG, place,
		    "no \"ssl_certificate_key\" is defined for certificate \"%s\" and the \"%s\" "
		    "directive",
		    tls->certificates[certificates - 1], mode);
	return -1;
}

static int
check_client_side(struct conf_build *b, struct server *server)
{
	struct conf_tls *tls = &server->tls;
	const struct conf_place *listen = find_ssl_listen(b, server);

	tls->needed = listen != NULL || server->starttls != STARTTLS_OFF;
	if (!tls->needed)
		return 0;
	if (check_certificates(tls, listen != NULL ? "listen ... ssl" : "starttls",
	    listen != NULL ? listen : place_of(b, server, "starttls")) == -1)
		return -1;
	if ((tls->verify == SSL_VERIFY_ON || tls->verify == SSL_VERIFY_OPTIONAL) &&
	    tls->client_certificate == NULL && tls->trusted_certificate == NULL) {
		conf_say(LOG_EMERG, place_of(b, server, "ssl_verify_client"),
		    "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client");
		return -1;
	}
	return 0;
}

/* Our own certificate is for peers that ask for one; without its key it is of no use. */
static int
check_peer_side(struct conf_build *b, const struct server *server, const struct conf_tls *tls, const char *prefix)
{
	size_t certificates = count(tls->certificates);
	char *directive;

	if (count(tls->keys) >= certificates)
		return 0;
	directive = mem_printf("%s_certificate", prefix);
	conf_say(LOG_EMERG, place_of(b, server, directive), "no \"%s_key\" is defined for certificate \"%s\"",
	    directive, tls->certificates[certificates - 1]);
	mem_free(directive);
	return -1;
}

/* A backend that is to see our certificate must be shown one. */
static int
check_external(struct conf_build *b, const struct server *server)
{
	const char *lacks = server->proxy_ssl == PROXY_SSL_OFF ? "proxy_ssl" :
	    count(server->proxy_tls.certificates) == 0 ? "proxy_ssl_certificate" : NULL;

	if (server->proxy_auth != PROXY_AUTH_EXTERNAL || lacks == NULL)
		return 0;
	conf_say(LOG_EMERG, place_of(b, server, "proxy_auth"), "\"proxy_auth external\" needs \"%s\"", lacks);
	return -1;
}

int
conf_tls_complete(struct conf_build *b, struct server *server)
{
	server->tls.place = server->proxy_tls.place = server->auth_http_tls.place = server->place;
	server->proxy_tls.needed = server->proxy_ssl != PROXY_SSL_OFF;
	for (struct conf_auth **link = server->auth; *link != NULL; link++)
		server->auth_http_tls.needed |= (*link)->source->https;
	if (check_client_side(b, server) == -1)
		return -1;
	if (check_external(b, server) == -1 || check_peer_side(b, server, &server->proxy_tls, "proxy_ssl") == -1)
		return -1;
	return check_peer_side(b, server, &server->auth_http_tls, "auth_http_ssl");
}

const char *
conf_tls_https_key(struct conf_build *b, const struct server *server)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const struct conf_printer printer = { out, b->conf, 0 };
	const char *key;

	for (const struct directive *d = directives; d->name != NULL; d++)
		if ((d->blocks & IN_SERVER) != 0 && strncmp(d->name, "auth_http_ssl_", 14) == 0)
			d->type->print(&printer, d, (const char *)server + d->offset);
	fclose(out);
	key = arena_strdup(b->arena, text);
	free(text);
	return key;
}

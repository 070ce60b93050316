#include "worker/limit.h"

#include <string.h>

#include "common/addrset.h"
#include "common/limitzone.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/auth/auth.h"
#include "worker/session.h"

struct hold {
	uint16_t zone;          /* its index in conf->limit_zones */
	uint16_t handle;        /* a ledger has no more lines */
};

/* One packed block: a session may be idle for days. */
struct holds {
	const struct server *server;    /* by whose limits */
	uint16_t arrived, count;        /* the first of them are since the arrival */
	struct hold list[];
};

/* What counts are kept of. */
struct subject {
	bool arrives;           /* else it logs in */
	const struct addr *addr;
	const char *user;
	const struct auth_answer *answer;
};

static void
add_hold(struct session *s, const struct conf_limit_zone *zone, uint32_t handle, bool arrives)
{
	size_t count = s->holds != NULL ? s->holds->count : 0;

	MUST(zone->index <= UINT16_MAX && handle <= UINT16_MAX && count < UINT16_MAX);
	s->holds = mem_resize(s->holds, sizeof(*s->holds) + (count + 1) * sizeof(struct hold));
	if (count == 0)
		*s->holds = (struct holds){ .server = session_server(s) };
	s->holds->list[count] = (struct hold){ (uint16_t)zone->index, (uint16_t)handle };
	s->holds->count++;
	if (arrives)
		s->holds->arrived = s->holds->count;
}

/* Gives back all but the first `rest`. */
static void
drop_to(struct session *s, size_t rest)
{
	while (s->holds != NULL && s->holds->count > rest) {
		const struct hold *hold = &s->holds->list[--s->holds->count];

		zone_drop(s->shift->conf->limit_zones[hold->zone]->zone, s->shift->number, hold->handle);
	}
	if (s->holds != NULL && rest == 0) {
		mem_free(s->holds);
		s->holds = NULL;
	}
}

static const char *
domain_of(const char *user)
{
	const char *at = user != NULL ? strrchr(user, '@') : NULL;

	return at != NULL ? at + 1 : NULL;
}

/* The text that a zone goes by; NULL or "": there is none. */
static const char *
text_of(const struct conf_limit_zone *zone, const struct subject *who, char **kept)
{
	switch (zone->key) {
	case LIMIT_BY_USER:
		return who->user;
	case LIMIT_BY_DOMAIN:
		return domain_of(who->user);
	case LIMIT_BY_HEADER:
		return *kept = auth_answer_header(who->answer, zone->header);
	default:
		return NULL;
	}
}

/* Works out the key. False if this subject has none there. */
static bool
key_of(const struct conf_limit_zone *zone, const struct subject *who, unsigned char key[LIMITZONE_KEY])
{
	char *kept = NULL;
	const char *text;

	if (who->arrives != (zone->key == LIMIT_BY_ADDRESS))
		return false;
	if (who->arrives) {
		limitzone_key(zone, LIMIT_BY_ADDRESS, LIMITZONE_CLIENT, who->addr, NULL, key);
		return true;
	}
	text = text_of(zone, who, &kept);
	if (text != NULL && *text != '\0')
		limitzone_key(zone, (enum conf_limit_key)zone->key, LIMITZONE_NONE, NULL, text, key);
	else
		zone = NULL;
	mem_free(kept);
	return zone != NULL;
}

/* Is there room for the key? What has been counted there has some, whatever the count. */
static bool
has_place(const struct session *s, const struct conf_limit *limit, const unsigned char key[LIMITZONE_KEY])
{
	void *entry = zone_find(limit->zone->zone, s->shift->number, key, false);

	if (entry != NULL)
		zone_done(limit->zone->zone, s->shift->number, entry);
	return entry != NULL;
}

static void
log_excess(const struct session *s, const struct conf_limit *limit, bool has_place)
{
	const struct server *server = session_server(s);

	session_log(s, server->conn_limit_level, "limiting connections%s by zone \"%s\"%s",
	    server->conn_limit_dry_run ? ", dry run," : "", limit->name, has_place ? "" : ", which is full");
}

/* Takes what this limit counts. False if there are too many. */
static bool
take(struct session *s, const struct conf_limit *limit, const struct subject *who)
{
	unsigned char key[LIMITZONE_KEY];
	uint32_t handle;

	if (!key_of(limit->zone, who, key))
		return true;
	handle = zone_hold(limit->zone->zone, s->shift->number, key, limit->most);
	if (handle != 0) {
		add_hold(s, limit->zone, handle, who->arrives);
		return true;
	}
	log_excess(s, limit, has_place(s, limit, key));
	return session_server(s)->conn_limit_dry_run;
}

static bool
take_all(struct session *s, const struct subject *who)
{
	struct conf_limit **limit = session_server(s)->conn_limits;
	size_t before = s->holds != NULL ? s->holds->count : 0;

	for (; limit != NULL && *limit != NULL; limit++) {
		if (take(s, *limit, who))
			continue;
		drop_to(s, before);
		return false;
	}
	return true;
}

bool
limit_arrive(struct session *s)
{
	const struct subject who = { .arrives = true, .addr = &s->addr };
	const struct server *server = session_server(s);

	if (s->holds != NULL && s->holds->server == server)
		return true;
	limit_leave(s);
	if (server->unlimited != NULL && addrset_allows(server->unlimited, &s->addr))
		return true;
	return take_all(s, &who);
}

bool
limit_login(struct session *s, const char *user, const struct auth_answer *answer)
{
	const struct subject who = { .user = user, .answer = answer };

	limit_logout(s);
	return take_all(s, &who);
}

void
limit_logout(struct session *s)
{
	if (s->holds != NULL)
		drop_to(s, s->holds->arrived);
}

void
limit_leave(struct session *s)
{
	drop_to(s, 0);
}

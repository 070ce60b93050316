#include "worker/helper/passwdfile.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "common/mem.h"
#include "worker/helper/passwdline.h"
#include "worker/helper/proof.h"

/* Open addressing, at most half full. */
struct slot {
	uint32_t tag;           /* low half of the name's hash; the high half chooses the slot */
	uint32_t place;         /* of the line in the text, plus one; 0: free */
};

struct passwdfile {
	const char *text;       /* borrowed */
	size_t len;
	struct slot *slots;     /* owned */
	unsigned bits;          /* 2^bits slots */
	size_t count, plain, hashed;    /* users; of them those with a password as it is, and those with a hash */
	uint64_t seed;          /* so that nobody can choose names that collide */
	struct secret costliest;        /* in the text: who is refused pays for this */
};

static uint64_t
hash(const struct passwdfile *table, const char *name, size_t len)
{
	uint64_t h = table->seed;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* The length of the line at `at`, without its end; *next is where the one behind it begins. */
static size_t
line_len(const struct passwdfile *table, size_t at, size_t *next)
{
	const char *line = table->text + at, *end = memchr(line, '\n', table->len - at);
	size_t len = end != NULL ? (size_t)(end - line) : table->len - at;

	*next = at + len + (end != NULL);
	return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

static bool
is_named(const struct passwdfile *table, const struct slot *slot, const char *name, size_t len,
    struct passwdline *line)
{
	size_t at = slot->place - 1, next;

	passwdline_parse(line, table->text + at, line_len(table, at, &next));
	return line->user.len == len && memcmp(line->user.text, name, len) == 0;
}

/* The slot of this name, or the free one where it belongs; *line is its line unless it is free. */
static struct slot *
seek(const struct passwdfile *table, const char *name, size_t len, struct passwdline *line, uint32_t *tag)
{
	uint64_t h = hash(table, name, len);
	size_t mask = ((size_t)1 << table->bits) - 1, i = (size_t)(h >> (64 - table->bits));

	*tag = (uint32_t)h;
	for (;; i = (i + 1) & mask) {
		struct slot *slot = &table->slots[i];

		if (slot->place == 0 || (slot->tag == *tag && is_named(table, slot, name, len, line)))
			return slot;
	}
}

static const char *
add(struct passwdfile *table, size_t at, size_t len)
{
	struct passwdline line, other;
	const char *why = passwdline_parse(&line, table->text + at, len);
	struct slot *slot;
	uint32_t tag;

	if (why != NULL)
		return why;
	slot = seek(table, line.user.text, line.user.len, &other, &tag);
	if (slot->place != 0)
		return "user is there twice";
	*slot = (struct slot){ tag, (uint32_t)at + 1 };
	table->count++;
	table->plain += secret_is_plain(&line.secret);
	table->hashed += line.secret.scheme != NULL && !secret_is_plain(&line.secret);
	if (secret_cost(&line.secret) > secret_cost(&table->costliest))
		table->costliest = line.secret;
	return NULL;
}

static unsigned
bits_for(const char *text, size_t len)
{
	const char *end = text + len;
	size_t lines = 1;
	unsigned bits = 1;

	for (const char *at = text; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		lines++;
	while ((size_t)1 << bits < 2 * lines)
		bits++;
	return bits;
}

static const char *
index_lines(struct passwdfile *table, unsigned *number)
{
	const char *why;
	size_t next;

	*number = 1;
	for (size_t at = 0; at < table->len; at = next, ++*number) {
		size_t len = line_len(table, at, &next);

		if (len == 0 || table->text[at] == '#')
			continue;
		if ((why = add(table, at, len)) != NULL)
			return why;
	}
	return NULL;
}

const char *
passwdfile_new(struct passwdfile **tablep, const char *text, size_t len, unsigned *line)
{
	struct passwdfile *table = mem_alloc(sizeof(*table));
	const char *why;

	*table = (struct passwdfile){ .text = text, .len = len };
	*tablep = NULL;
	*line = 0;
	if (len > PASSWDFILE_MAX) {
		passwdfile_free(&table);
		return "the file is too large";
	}
	/* Without randomness the table still works; names that collide only make it slower. */
	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) != sizeof(table->seed))
		table->seed = UINT64_C(0xcbf29ce484222325);
	table->bits = bits_for(text, len);
	table->slots = mem_array((size_t)1 << table->bits, sizeof(*table->slots));
	if ((why = index_lines(table, line)) != NULL)
		passwdfile_free(&table);
	*tablep = table;
	return why;
}

void
passwdfile_free(struct passwdfile **tablep)
{
	struct passwdfile *table = *tablep;

	if (table == NULL)
		return;
	mem_free(table->slots);
	mem_free(table);
	*tablep = NULL;
}

size_t
passwdfile_count(const struct passwdfile *table)
{
	return table->count;
}

unsigned
passwdfile_methods(const struct passwdfile *table)
{
	bool none_could = table->hashed > 0 && table->plain == 0;

	return none_could ? METHODS_PASSWORD : METHODS_PASSWORD | METHODS_CHALLENGE;
}

/* Returns NULL, or why this user is refused. */
static const char *
judge_user(const struct passwdfile *table, const struct passwdline *line, const struct helper_request *request)
{
	const char *why = proof_judge(&line->secret, &table->costliest, request);

	if (why != NULL)
		return why;
	if (!passwdline_allows_client(line, &request->client))
		return "client address is not in allow_nets";
	if (!passwdline_allows_protocol(line, request->protocol))
		return "protocol is not in protocols";
	return NULL;
}

static bool
find(const struct passwdfile *table, const char *name, struct passwdline *line)
{
	uint32_t tag;

	return seek(table, name, strlen(name), line, &tag)->place != 0;
}

/* Another source may know the user; where there is none, it must not show that we do not. */
static void
pass_on(const struct passwdfile *table, const struct helper_request *request, struct helper_reply *reply)
{
	if (request->is_last)
		proof_pretend(&table->costliest, request);
	reply->outcome = HELPER_UNKNOWN;
	reply->reason = mem_strdup("unknown user");
}

/* The user is who it claims to be. */
static void
admit(const struct passwdline *line, const struct helper_request *request, struct helper_reply *reply)
{
	if (line->nologin.text != NULL) {
		reply->text = line->reason.len > 0 ? passwdline_value(&line->reason) : NULL;
		reply->reason = mem_strdup("the user has nologin");
		return;
	}
	reply->outcome = HELPER_ACCEPTED;
	reply->user = passwdline_backend_user(line);
	reply->pass = passwdline_backend_pass(line);
	if (reply->pass == NULL && proof_needs_plain(request))  /* the client has not told it */
		reply->pass = secret_reveal(&line->secret);
	passwdline_backend(line, &reply->host, &reply->port, &reply->is_unix);
	reply->says_ssl = passwdline_ssl(line, &reply->ssl);
}

void
passwdfile_answer(const struct passwdfile *table, const struct helper_request *request, struct helper_reply *reply)
{
	struct passwdline line;
	const char *why = proof_judge_request(request);

	*reply = (struct helper_reply){ .outcome = HELPER_REFUSED };
	if (why == NULL && !find(table, request->user, &line)) {
		pass_on(table, request, reply);
		return;
	}
	if (why == NULL)
		why = judge_user(table, &line, request);
	if (why == NULL)
		admit(&line, request, reply);
	else
		reply->reason = mem_strdup(why);
}

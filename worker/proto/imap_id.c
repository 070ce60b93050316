#include "worker/proto/imap_id.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/num.h"
#include "worker/proto/quote.h"

#define FIELD_MAX 30            /* bytes; RFC 2971 section 3.3 */
#define VALUE_MAX 1024
#define TEXTS_MAX (IMAP_ID_FIELDS * 2 * (FIELD_MAX + VALUE_MAX))
#define TTL_MAX 1000

static bool
is_nil(const struct imap_text *text)
{
	return !text->quoted && imap_text_is(text, "NIL");
}

/* Returns a copy that is one line of text, or NULL. */
static char *
plain_copy(const struct imap_text *text, size_t max_len)
{
	size_t len;
	char *copy = imap_text_copy(text, &len);

	if (len <= max_len && strlen(copy) == len && quote_fits_imap(copy))
		return copy;
	mem_free(copy);
	return NULL;
}

static void
append(struct imap_id *id, const char *field, const char *value)
{
	struct buf out;
	size_t before = id->texts != NULL ? strlen(id->texts) : 0;

	buf_init(&out, TEXTS_MAX);
	if ((buf_add(&out, " ", 1) | quote_imap(&out, field) | buf_add(&out, " ", 1) |
	    (value != NULL ? quote_imap(&out, value) : buf_add_text(&out, "NIL"))) == 0) {
		id->texts = mem_resize(id->texts, before + out.len + 1);
		memcpy(id->texts + before, buf_head(&out), out.len);
		id->texts[before + out.len] = '\0';
		id->count++;
	}
	buf_reset(&out);
}

static void
read_ttl(struct imap_id *id, const char *value)
{
	unsigned ttl;

	if (value != NULL && num_parse(value, TTL_MAX, &ttl) == 0 && (id->ttl == 0 || ttl + 1 < id->ttl))
		id->ttl = ttl + 1;
}

void
imap_id_add(struct imap_id *id, const struct imap_text *field, const struct imap_text *value)
{
	char *name = plain_copy(field, FIELD_MAX);
	char *text = is_nil(value) ? NULL : plain_copy(value, VALUE_MAX);

	if (name != NULL && strcasecmp(name, "x-proxy-ttl") == 0)
		read_ttl(id, text);
	else if (name != NULL && strncasecmp(name, "x-", 2) != 0 && id->count < IMAP_ID_FIELDS &&
	    (text != NULL || is_nil(value)))
		append(id, name, text);
	mem_free(name);
	mem_free(text);
}

void
imap_id_reset(struct imap_id *id)
{
	mem_free(id->texts);
	*id = (struct imap_id){ .texts = NULL };
}

unsigned
imap_id_ttl(const struct imap_id *id)
{
	if (id->ttl == 0)
		return IMAP_ID_TTL;
	return id->ttl > 1 ? id->ttl - 2 : 0;
}

static int
add_address(struct buf *out, const char *which, const struct addr *a)
{
	char text[ADDR_TEXT];

	if (a == NULL || (a->family != AF_INET && a->family != AF_INET6))
		return 0;
	return buf_printf(out, " \"x-%s-ip\" \"%s\" \"x-%s-port\" \"%u\"", which, addr_format(text, a), which, a->port);
}

/* The list begins with what every login has, so that each of the others can bring its blank along. */
int
imap_id_compose(struct buf *out, const char *tag, const struct facts *facts, const struct imap_id *id)
{
	return buf_printf(out, "%s ID (\"x-session-id\" \"%s\" \"x-proxy-ttl\" \"%u\"", tag, facts->session,
	    imap_id_ttl(id)) | add_address(out, "originating", facts->client) |
	    add_address(out, "connected", facts->connected) |
	    (id->texts != NULL ? buf_add_text(out, id->texts) : 0) | buf_add_text(out, ")\r\n");
}

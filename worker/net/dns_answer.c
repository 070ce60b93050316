#include "worker/net/dns_answer.h"

#include <stdio.h>
#include <string.h>

#include "common/must.h"

#define HEADER 12
#define LABEL_MAX 63
#define POINTERS_MAX 127        /* of one name: it has no more labels */
#define CLASS_IN 1
#define NAME_ERROR 3            /* the code of "there is no such name" */
#define SOA_NUMBERS 20          /* bytes behind its names: serial, refresh, retry, expire, minimum */
#define TTL_UNREAL 0x80000000u  /* from here on it is 0 */

static unsigned
number(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static bool
add_label(struct dns_name *name, const unsigned char *label)
{
	if (sizeof(name->wire) - name->len < label[0] + 1u)
		return false;
	memcpy(name->wire + name->len, label, label[0] + 1u);
	name->len += label[0] + 1u;
	return true;
}

/*
 * Reads the name at *at and sets *at behind it. Each pointer leads to before where it was
 * come from, so there are no loops, and there are few, so nobody can make this long. False:
 * there is no name.
 */
static bool
read_name(const unsigned char *bytes, size_t len, size_t *at, struct dns_name *name)
{
	size_t here = *at, lowest = *at;
	unsigned jumps = 0;

	name->len = 0;
	while (here < len) {
		unsigned head = bytes[here];

		if (head <= LABEL_MAX) {
			if (len - here < head + 1u || !add_label(name, bytes + here))
				return false;
			here += head + 1u;
			if (jumps == 0)
				*at = here;
			if (head == 0)
				return true;
		} else {
			size_t target = len - here < 2 ? len : number(bytes + here) & 0x3fff;

			if (head < 0xc0 || target < HEADER || target >= lowest || jumps == POINTERS_MAX)
				return false;
			if (jumps++ == 0)
				*at = here + 2;
			here = lowest = target;
		}
	}
	return false;
}

static int
fold(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* Lengths of labels are no letters, so that all bytes may be folded alike. */
static bool
is_same_wire(const unsigned char *a, const unsigned char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

static bool
is_same(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && is_same_wire(a->wire, b->wire, a->len);
}

/* Does the name lie in this zone? */
static bool
is_within(const struct dns_name *name, const struct dns_name *zone)
{
	size_t at = 0;

	while (name->len - at > zone->len)
		at += name->wire[at] + 1u;
	return name->len - at == zone->len && is_same_wire(name->wire + at, zone->wire, zone->len);
}

/* The name that we have asked for; false: it is no name. */
static bool
name_of_text(struct dns_name *name, const char *text)
{
	unsigned char label[LABEL_MAX + 1];

	for (name->len = 0; *text != '\0'; text += text[0] == '.') {
		size_t len = strcspn(text, ".");

		if (len == 0 || len > LABEL_MAX)
			return false;
		label[0] = (unsigned char)len;
		memcpy(label + 1, text, len);
		if (!add_label(name, label))
			return false;
		text += len;
	}
	return add_label(name, (const unsigned char *)"");
}

/* One record as it lies there. */
struct raw {
	struct dns_name owner;
	unsigned type, class;
	uint32_t ttl_s;
	size_t data, data_len;
};

static bool
read_record(const unsigned char *bytes, size_t len, size_t *at, struct raw *raw)
{
	const unsigned char *fixed;

	if (!read_name(bytes, len, at, &raw->owner) || len - *at < 10)
		return false;
	fixed = bytes + *at;
	raw->type = number(fixed);
	raw->class = number(fixed + 2);
	raw->ttl_s = (uint32_t)number(fixed + 4) << 16 | number(fixed + 6);
	if (raw->ttl_s >= TTL_UNREAL)
		raw->ttl_s = 0;
	raw->data_len = number(fixed + 8);
	raw->data = *at + 10;
	if (len - raw->data < raw->data_len)
		return false;
	*at = raw->data + raw->data_len;
	return true;
}

/* A name that fills the record's data, no more and no less. */
static bool
read_data_name(const unsigned char *bytes, const struct raw *raw, struct dns_name *name)
{
	size_t at = raw->data, end = raw->data + raw->data_len;

	return read_name(bytes, end, &at, name) && at == end;
}

static bool
read_data(const unsigned char *bytes, const struct raw *raw, struct dns_record *record)
{
	size_t size = raw->type == DNS_A ? 4 : 16;

	if (raw->type == DNS_PTR || raw->type == DNS_CNAME)
		return read_data_name(bytes, raw, &record->name);
	if (raw->type != DNS_A && raw->type != DNS_AAAA)
		return true;
	if (raw->data_len != size)
		return false;
	record->addr = (struct addr){ .family = raw->type == DNS_A ? AF_INET : AF_INET6 };
	memcpy(record->addr.ip, bytes + raw->data, size);
	return true;
}

static unsigned
code_of(const struct dns_answer *answer)
{
	return answer->bytes[3] & 0x0f;
}

/* Behind the question, which has to be ours. 0: it is not. */
static size_t
behind_question(const struct dns_answer *answer)
{
	const unsigned char *bytes = answer->bytes;
	struct dns_name asked;
	size_t at = HEADER;

	if (answer->len < HEADER || (bytes[2] & 0xfa) != 0x80 || number(bytes + 4) != 1)
		return 0;       /* no answer, truncated, or not to one question */
	if (code_of(answer) != 0 && code_of(answer) != NAME_ERROR)
		return 0;
	if (!read_name(bytes, answer->len, &at, &asked) || answer->len - at < 4)
		return 0;
	if (number(bytes + at) != answer->type || number(bytes + at + 2) != CLASS_IN)
		return 0;
	return is_same(&asked, &answer->owner) ? at + 4 : 0;
}

static void
shorten(struct dns_answer *answer, uint32_t ttl_s)
{
	if (ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
}

/* Goes through all records once: counts the owner's, or takes the way of its alias. False: one of them is bad. */
static bool
walk(struct dns_answer *answer, size_t at, bool *moved)
{
	struct dns_name alias = { .len = 0 };
	struct dns_record record;
	struct raw raw, link = { .ttl_s = 0 };

	for (unsigned left = number(answer->bytes + 6); left > 0; left--) {
		if (!read_record(answer->bytes, answer->len, &at, &raw) || !read_data(answer->bytes, &raw, &record))
			return false;
		if (raw.class != CLASS_IN || !is_same(&raw.owner, &answer->owner))
			continue;
		if (raw.type == answer->type) {
			answer->count++;
			shorten(answer, raw.ttl_s);
		} else if (raw.type == DNS_CNAME && alias.len == 0) {
			alias = record.name;
			link = raw;
		}
	}
	*moved = answer->count == 0 && alias.len > 0;
	if (*moved) {
		answer->owner = alias;
		shorten(answer, link.ttl_s);
	}
	return true;
}

/* The time that a zone has for what is not in it: the last number of its SOA, or the life of that. False: it is bad. */
static bool
read_absence(const unsigned char *bytes, const struct raw *soa, uint32_t *ttl_s)
{
	size_t at = soa->data, end = soa->data + soa->data_len;
	struct dns_name name;

	if (!read_name(bytes, end, &at, &name) || !read_name(bytes, end, &at, &name) || end - at != SOA_NUMBERS)
		return false;
	*ttl_s = (uint32_t)number(bytes + end - 4) << 16 | number(bytes + end - 2);
	if (soa->ttl_s < *ttl_s)
		*ttl_s = soa->ttl_s;
	return true;
}

/* How long there is nothing, by the SOA behind the answers. Whatever is wrong there, nobody has said it then. */
static void
learn_absence(struct dns_answer *answer)
{
	uint32_t ttl_s = 0, found_s;
	size_t at = answer->at;
	struct raw raw;

	for (unsigned left = number(answer->bytes + 6); left > 0; left--)
		MUST(read_record(answer->bytes, answer->len, &at, &raw));
	for (unsigned left = number(answer->bytes + 8); left > 0; left--) {
		if (!read_record(answer->bytes, answer->len, &at, &raw))
			break;
		if (raw.type == DNS_SOA && raw.class == CLASS_IN && is_within(&answer->owner, &raw.owner) &&
		    read_absence(answer->bytes, &raw, &found_s)) {
			ttl_s = found_s;
			break;
		}
	}
	shorten(answer, ttl_s);
}

enum dns_verdict
dns_answer_read(struct dns_answer *answer, const void *bytes, size_t len, const char *name, enum dns_type type)
{
	bool moved = true;

	*answer = (struct dns_answer){ .bytes = bytes, .len = len, .type = type, .ttl_s = UINT32_MAX };
	if (!name_of_text(&answer->owner, name) || (answer->at = behind_question(answer)) == 0)
		return DNS_BAD;
	answer->left = number(answer->bytes + 6);
	for (int aliases = 0; moved; aliases++)
		if (aliases > DNS_ALIASES_MAX || !walk(answer, answer->at, &moved))
			return DNS_BAD;
	if (answer->count > 0)
		return code_of(answer) == 0 ? DNS_FOUND : DNS_BAD;
	learn_absence(answer);
	return DNS_NOTHING;
}

bool
dns_answer_next(struct dns_answer *answer, struct dns_record *record)
{
	struct raw raw;

	while (answer->left > 0) {
		answer->left--;
		MUST(read_record(answer->bytes, answer->len, &answer->at, &raw));
		if (raw.class == CLASS_IN && raw.type == answer->type && is_same(&raw.owner, &answer->owner))
			return read_data(answer->bytes, &raw, record);
	}
	return false;
}

static bool
is_letter(unsigned char c)
{
	return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'z') || c == '-';
}

const char *
dns_name_format(char out[DNS_NAME_TEXT], const struct dns_name *name)
{
	size_t len = 0;

	for (size_t at = 0; at < name->len && name->wire[at] != 0; at += name->wire[at] + 1u) {
		if (at > 0)
			out[len++] = '.';
		for (size_t i = at + 1; i <= at + name->wire[at]; i++) {
			if (is_letter(name->wire[i]) || name->wire[i] == '_')
				out[len++] = (char)name->wire[i];
			else
				len += (size_t)sprintf(out + len, "\\%03u", name->wire[i]);
		}
	}
	out[len] = '\0';
	return out;
}

bool
dns_name_is_host(const struct dns_name *name)
{
	for (size_t at = 0; at < name->len && name->wire[at] != 0; at += name->wire[at] + 1u)
		for (size_t i = at + 1; i <= at + name->wire[at]; i++)
			if (!is_letter(name->wire[i]))
				return false;
	return name->len > 1;
}

const char *
dns_reverse(char out[DNS_REVERSE_TEXT], const struct addr *addr)
{
	size_t len = 0;

	if (addr->family == AF_INET) {
		sprintf(out, "%u.%u.%u.%u.in-addr.arpa", addr->ip[3], addr->ip[2], addr->ip[1], addr->ip[0]);
		return out;
	}
	for (int i = 15; i >= 0; i--)
		len += (size_t)sprintf(out + len, "%x.%x.", addr->ip[i] & 0xfu, (unsigned)addr->ip[i] >> 4);
	strcpy(out + len, "ip6.arpa");
	return out;
}

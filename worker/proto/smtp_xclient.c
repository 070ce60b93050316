#include "worker/proto/smtp_xclient.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "worker/proto/quote.h"

enum { ADDR, PORT, LOGIN, NAME, PROTO, HELO, DESTADDR, DESTPORT, ATTRIBUTES };

/* The first three that nginx has come in its order. */
static const char *const names[ATTRIBUTES] = {
	[ADDR] = "ADDR", [PORT] = "PORT", [LOGIN] = "LOGIN", [NAME] = "NAME", [PROTO] = "PROTO", [HELO] = "HELO",
	[DESTADDR] = "DESTADDR", [DESTPORT] = "DESTPORT",
};

unsigned
smtp_xclient_offer(const char *words, size_t len)
{
	unsigned offered = 0;

	for (const char *word = words, *end = words + len; word < end;) {
		const char *blank = memchr(word, ' ', (size_t)(end - word));
		size_t word_len = (size_t)((blank != NULL ? blank : end) - word);

		for (unsigned i = 0; i < ATTRIBUTES; i++)
			if (strlen(names[i]) == word_len && strncasecmp(names[i], word, word_len) == 0)
				offered |= 1u << i;
		word += word_len + 1;
	}
	return offered;
}

bool
smtp_xclient_takes_login(unsigned offered)
{
	return (offered & 1u << LOGIN) != 0;
}

static const char *
ip_text(char out[ADDR_TEXT + 8], const struct addr *a)
{
	char text[ADDR_TEXT];

	if (a == NULL || (a->family != AF_INET && a->family != AF_INET6))
		return "[UNAVAILABLE]";
	snprintf(out, ADDR_TEXT + 8, "%s%s", a->family == AF_INET6 ? "IPV6:" : "", addr_format(text, a));
	return out;
}

static const char *
port_text(char out[ADDR_TEXT + 8], const struct addr *a)
{
	if (a == NULL || (a->family != AF_INET && a->family != AF_INET6) || a->port == 0)
		return "[UNAVAILABLE]";
	snprintf(out, ADDR_TEXT + 8, "%u", a->port);
	return out;
}

/* The value of an attribute; NULL: there is nothing to say of it. */
static const char *
value_of(unsigned attribute, const struct facts *facts, const struct smtp_xclient *told, char room[ADDR_TEXT + 8])
{
	switch (attribute) {
	case ADDR:
		return ip_text(room, facts->client);
	case PORT:
		return port_text(room, facts->client);
	case LOGIN:
		return told->login;
	case NAME:
		return facts->client_host;
	case PROTO:
		return told->helo == NULL ? NULL : told->esmtp ? "ESMTP" : "SMTP";
	case HELO:
		return told->helo;
	case DESTADDR:
		return facts->connected == NULL ? NULL : ip_text(room, facts->connected);
	default:
		return facts->connected == NULL ? NULL : port_text(room, facts->connected);
	}
}

int
smtp_xclient_compose(struct buf *out, unsigned offered, const struct facts *facts, const struct smtp_xclient *told)
{
	char room[ADDR_TEXT + 8];
	int failed = buf_add_text(out, "XCLIENT");

	for (unsigned i = 0; i < ATTRIBUTES; i++) {
		const char *value = (offered & 1u << i) == 0 ? NULL : value_of(i, facts, told, room);

		if (value != NULL)
			failed |= buf_printf(out, " %s=", names[i]) | quote_xtext(out, value);
	}
	return failed | buf_add_text(out, "\r\n");
}

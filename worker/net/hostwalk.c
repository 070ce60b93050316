#define CARES_NO_DEPRECATED     /* the answer as it came is what we want; later releases would rather parse it */
#include "worker/net/hostwalk.h"

#include <errno.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/net/dns_answer.h"

#define QUERY_MS 2000           /* for the first round of name servers; the second has twice as long */
#define QUERY_ROUNDS 2          /* then anew, while somebody waits */
#define CLASS_IN 1

/* ---- whom to ask ---- */

/* As c-ares reads them; counts them, too. */
static char *
servers_text(const struct conf_resolver *conf, unsigned *count)
{
	char *text = mem_strdup(""), one[ADDR_TEXT];

	*count = 0;
	for (struct conf_name **name = conf->servers; *name != NULL; name++) {
		for (size_t i = 0; i < (*name)->found_count; i++) {
			char *longer = mem_printf("%s%s%s", text, text[0] != '\0' ? "," : "",
			    addr_format_port(one, &(*name)->found[i].addr));

			mem_free(text);
			text = longer;
			++*count;
		}
	}
	return text;
}

int
hostwalk_open(struct hostwalk_servers *servers, struct loop *loop, const struct conf_resolver *conf, const char **why)
{
	/* Without the flag a refusal of all servers would be told from no other failure. */
	const struct ares_options options = {
		.flags = ARES_FLAG_NOCHECKRESP, .timeout = QUERY_MS, .tries = QUERY_ROUNDS,
	};
	unsigned count;
	char *text;
	int status;

	if (dnsloop_open(&servers->dns, loop, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_ROTATE,
	    why) == -1)
		return -1;
	text = servers_text(conf, &count);
	/* Others' questions take their turns, too: not each try reaches another server. */
	servers->tries = count > 1 ? 2 * count : 1;
	status = ares_set_servers_ports_csv(servers->dns.channel, text);
	mem_free(text);
	if (status == ARES_SUCCESS)
		return 0;
	*why = ares_strerror(status);
	dnsloop_close(&servers->dns);
	return -1;
}

void
hostwalk_close(struct hostwalk_servers *servers)
{
	dnsloop_close(&servers->dns);
}

/* ---- the walk ---- */

/* c-ares' status as nginx has it: the server's code, or an errno. */
static unsigned
code_of(int status)
{
	switch (status) {
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
		return HOSTNAME_NOT_FOUND;
	case ARES_EFORMERR:
	case ARES_EBADRESP:
		return HOSTNAME_BAD_FORMAT;
	case ARES_ENOTIMP:
		return HOSTNAME_UNIMPLEMENTED;
	case ARES_EREFUSED:
		return HOSTNAME_REFUSED;
	case ARES_ETIMEOUT:
		return ETIMEDOUT;
	case ARES_ECONNREFUSED:
		return ECONNREFUSED;
	default:
		return HOSTNAME_FAILURE;
	}
}

static void
finish(struct hostwalk *walk, enum hostname_verdict verdict, unsigned code)
{
	walk->named = false;
	walk->asker->done(walk, verdict, code);
}

static void ask_names(struct hostwalk *walk);
static void ask_addresses(struct hostwalk *walk);

/*
 * All servers were silent: for somebody who still waits one of them may wake up. Or one was
 * not able or willing: another may be, whose turn comes with the next question.
 */
static bool
is_worth_another(struct hostwalk *walk, int status)
{
	if (status == ARES_ETIMEOUT)
		return walk->asker->is_wanted(walk);
	if (status == ARES_ESERVFAIL || status == ARES_ENOTIMP || status == ARES_EREFUSED)
		return ++walk->refusals < walk->servers->tries;
	return false;
}

static bool
try_again(struct hostwalk *walk, int status)
{
	if (!is_worth_another(walk, status))
		return false;
	if (walk->named)
		ask_addresses(walk);
	else
		ask_names(walk);
	return true;
}

static void
take_ttl(struct hostwalk *walk, const struct dns_answer *answer)
{
	if (answer->ttl_s < walk->ttl_s)
		walk->ttl_s = answer->ttl_s;
}

/* There is nothing; the answer may say for how long. */
static void
take_absence(struct hostwalk *walk, const unsigned char *bytes, int len, const char *name, enum dns_type type)
{
	struct dns_answer answer = { .ttl_s = 0 };

	if (bytes != NULL && len > 0 && dns_answer_read(&answer, bytes, (size_t)len, name, type) != DNS_NOTHING)
		answer.ttl_s = 0;
	take_ttl(walk, &answer);
}

static enum dns_type
type_of(const struct hostwalk *walk)
{
	return walk->addr.family == AF_INET ? DNS_A : DNS_AAAA;
}

static bool
has_address(const struct hostwalk *walk, struct dns_answer *answer)
{
	struct dns_record record;

	while (dns_answer_next(answer, &record))
		if (addr_equal(&record.addr, &walk->addr))
			return true;
	return false;
}

static void
on_addresses(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct hostwalk *walk = arg;
	struct dns_answer answer;
	enum dns_verdict verdict;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || try_again(walk, status))
		return;
	if (status != ARES_SUCCESS) {
		take_absence(walk, bytes, len, walk->name, type_of(walk));
		finish(walk, HOSTNAME_LOST, code_of(status));
		return;
	}
	verdict = dns_answer_read(&answer, bytes, (size_t)len, walk->name, type_of(walk));
	take_ttl(walk, &answer);
	if (verdict != DNS_FOUND) {
		finish(walk, HOSTNAME_LOST, verdict == DNS_BAD ? HOSTNAME_BAD_FORMAT : HOSTNAME_NOT_FOUND);
		return;
	}
	finish(walk, has_address(walk, &answer) ? HOSTNAME_CONFIRMED : HOSTNAME_FOREIGN, 0);
}

static void
ask_addresses(struct hostwalk *walk)
{
	ares_query(walk->servers->dns.channel, walk->name, CLASS_IN, (int)type_of(walk), on_addresses, walk);
}

static void
set_name(struct hostwalk *walk, const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];

	mem_free(walk->name);
	walk->name = mem_strdup(dns_name_format(text, name));
}

/* The first that is a host's name, or else the first. True: it is one. */
static bool
take_name(struct hostwalk *walk, struct dns_answer *answer)
{
	struct dns_record record;

	MUST(dns_answer_next(answer, &record));
	set_name(walk, &record.name);
	do {
		if (dns_name_is_host(&record.name)) {
			set_name(walk, &record.name);
			return true;
		}
	} while (dns_answer_next(answer, &record));
	return false;
}

static void
on_names(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct hostwalk *walk = arg;
	char reverse[DNS_REVERSE_TEXT];
	struct dns_answer answer;
	enum dns_verdict verdict;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || try_again(walk, status))
		return;
	dns_reverse(reverse, &walk->addr);
	if (status != ARES_SUCCESS) {
		take_absence(walk, bytes, len, reverse, DNS_PTR);
		finish(walk, HOSTNAME_UNKNOWN, code_of(status));
		return;
	}
	verdict = dns_answer_read(&answer, bytes, (size_t)len, reverse, DNS_PTR);
	take_ttl(walk, &answer);
	if (verdict != DNS_FOUND) {
		finish(walk, HOSTNAME_UNKNOWN, verdict == DNS_BAD ? HOSTNAME_BAD_FORMAT : HOSTNAME_NOT_FOUND);
		return;
	}
	if (!take_name(walk, &answer)) {
		finish(walk, HOSTNAME_INVALID, 0);
		return;
	}
	walk->named = true;
	walk->refusals = 0;
	ask_addresses(walk);
}

static void
ask_names(struct hostwalk *walk)
{
	char reverse[DNS_REVERSE_TEXT];

	ares_query(walk->servers->dns.channel, dns_reverse(reverse, &walk->addr), CLASS_IN, DNS_PTR, on_names, walk);
}

void
hostwalk_init(struct hostwalk *walk, struct hostwalk_servers *servers, const struct hostwalk_asker *asker,
    const struct addr *addr)
{
	*walk = (struct hostwalk){ .servers = servers, .asker = asker, .addr = *addr };
}

void
hostwalk_start(struct hostwalk *walk)
{
	walk->refusals = 0;
	walk->ttl_s = UINT32_MAX;
	mem_free(walk->name);
	walk->name = NULL;
	ask_names(walk);
	dnsloop_look(&walk->servers->dns);
}

void
hostwalk_reset(struct hostwalk *walk)
{
	mem_free(walk->name);
	walk->name = NULL;
}

/*
 * dns_answer - what an answer of a name server says
 *
 * Pure: bytes in, records out. c-ares has seen to it that the answer belongs to a query
 * of ours, but takes its time to live for nobody's business and its content as it comes;
 * here every byte is hostile. Names may point only backwards, so that they end; a chain
 * of aliases has at most DNS_ALIASES_MAX links; what is malformed anywhere in the answer
 * section makes all of it bad. Records of other owners, types and classes are passed over.
 * RFC 1035 section 4, RFC 2181 section 8, RFC 2308, RFC 2317. Built on: addr.
 */
#ifndef POSTERN_WORKER_NET_DNS_ANSWER_H
#define POSTERN_WORKER_NET_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_AAAA = 28 };

#define DNS_ALIASES_MAX 8
#define DNS_NAME_WIRE 255       /* bytes of a name, RFC 1035 section 2.3.4 */
#define DNS_NAME_TEXT 1024      /* any name as text, each of its bytes as \DDD */

struct dns_name {
	unsigned char wire[DNS_NAME_WIRE];      /* uncompressed, up to and with its root */
	size_t len;
};

/* Of an answer's records: those of the wanted type whose owner is the name that the aliases lead to. */
struct dns_answer {
	const unsigned char *bytes;     /* borrowed, like all that points there */
	size_t len;
	enum dns_type type;
	struct dns_name owner;
	/*
	 * How long it is good: the least of all records that were used, aliases included. Of DNS_NOTHING
	 * that is what the zone's SOA says (RFC 2308 section 5), 0 where there is none.
	 */
	uint32_t ttl_s;
	size_t count;
	size_t at;                      /* dns_answer_next()'s: the next record */
	unsigned left;
};

struct dns_record {
	struct addr addr;               /* of DNS_A and DNS_AAAA; its port is 0 */
	struct dns_name name;           /* of DNS_PTR */
};

enum dns_verdict {
	DNS_FOUND,
	DNS_NOTHING,                    /* the name has no such record, or does not exist */
	DNS_BAD,
};

/* Looks for records of `type` at `name`, "192.0.2.1" being asked for by its reverse. `bytes` are borrowed. */
enum dns_verdict dns_answer_read(struct dns_answer *answer, const void *bytes, size_t len, const char *name,
    enum dns_type type);

/* The next of its records, in their order; false: that was the last. */
bool dns_answer_next(struct dns_answer *answer, struct dns_record *record);

/* A name as text: bytes that are not letters, digits, "-" or "_" as \DDD, no dot behind it. Returns `out`. */
const char *dns_name_format(char out[DNS_NAME_TEXT], const struct dns_name *name);

/* Is it the name of a host: letters, digits, hyphens and dots alone, and not empty? */
bool dns_name_is_host(const struct dns_name *name);

#define DNS_REVERSE_TEXT 80

/* Where the name of an IP address is asked for (RFC 1035 section 3.5, RFC 3596 section 2.5). Returns `out`. */
const char *dns_reverse(char out[DNS_REVERSE_TEXT], const struct addr *addr);

#endif

/*
 * addr - who is at the other end, and where to go
 *
 * A struct addr is an IP address and port (or the mere fact that the peer came over
 * a UNIX socket), small enough to live in every session. An IPv4-mapped IPv6 address
 * is unmapped wherever one enters, so rules and log lines need one form only. A
 * struct endpoint is a place to bind or connect to and may be a UNIX path.
 * Built on: mem, num.
 */
#ifndef POSTERN_COMMON_ADDR_H
#define POSTERN_COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	unsigned char ip[16];   /* network order; IPv4 in the first four bytes */
	uint16_t port;          /* host order; 0 when unknown */
	uint16_t family;        /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC for none */
};

struct endpoint {
	struct addr addr;
	char *path;             /* owned; of a UNIX socket when addr.family is AF_UNIX, else NULL */
};

#define ADDR_TEXT 64            /* room for any text below but a long UNIX path, which is cut */

/* Reads a literal IPv4 or IPv6 address (no brackets, no port). Returns 0, or -1. The port becomes 0. */
int addr_parse(struct addr *a, const char *text, size_t len);

/*
 * Reads an address, or address/bits in CIDR form (RFC 4632 section 3.1, RFC 4291 section 2.3); without /bits
 * all count. Of an IPv4-mapped network the bits are those of IPv6 and at least 96; *bits is what is left of them for
 * IPv4. Returns NULL, or a static phrase saying what is wrong.
 */
const char *addr_parse_network(struct addr *net, unsigned *bits, const char *text);

/* 32, 128, or 0: the bits of an address of this family. */
unsigned addr_width(const struct addr *a);

/* Takes what accept(2) or getsockname(2) gave. */
void addr_from_sockaddr(struct addr *a, const struct sockaddr_storage *sa);

/* Ports are compared too. */
bool addr_equal(const struct addr *a, const struct addr *b);

/* "192.0.2.1", "2001:db8::1", "unix:", "unknown"; returns `out`. */
const char *addr_format(char out[ADDR_TEXT], const struct addr *a);

/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:", "unknown"; returns `out`. */
const char *addr_format_port(char out[ADDR_TEXT], const struct addr *a);

/* As addr_format_port(), but "unix:/path" with its path; returns `out`. */
const char *endpoint_format(char *out, size_t size, const struct endpoint *e);

/* Fills in *sa for bind(2) or connect(2) and returns its length, or 0 if a UNIX path is too long. */
socklen_t endpoint_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa);

/* The same place: for UNIX sockets the path alone counts. */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Makes *to, whose old value is not looked at, a copy with a path of its own. */
void endpoint_copy(struct endpoint *to, const struct endpoint *from);

/* Frees the path and leaves no address. */
void endpoint_reset(struct endpoint *e);

/*
 * Splits "host:port", "[v6]:port", "host", "[v6]" or "unix:PATH" into its parts, as
 * nginx reads addresses. On success *host is a fresh string (the path for UNIX; no
 * brackets), and *port the number or `default_port`. Returns NULL, or a static phrase
 * saying what is wrong, in nginx's words ("invalid port in ...": just "invalid port",
 * "no host"), and then nothing is changed.
 */
const char *addr_split(const char *text, unsigned default_port, char **host, unsigned *port, bool *is_unix);

#endif

/*
 * proxyhdr - the header by which one proxy tells another who the client is
 *
 * The PROXY protocol, versions 1 and 2, as haproxy.org publishes it (proxy-protocol.txt),
 * read and written. Reading is strict: a header is whole and right, may still become so,
 * or is bad, and then nothing of its connection can be believed. Version 1 is one line
 * that ends with CRLF and nothing else; in version 2 the addresses are those of its family,
 * the TLVs fill the rest exactly, and a checksum is right if there is one. A header that
 * tells of no client (LOCAL, UNKNOWN) is known as one. Pure. Built on: addr, buf.
 */
#ifndef POSTERN_WORKER_PROTO_PROXYHDR_H
#define POSTERN_WORKER_PROTO_PROXYHDR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"
#include "common/buf.h"

#define PROXYHDR_MAX 4096       /* bytes of a header that is taken */

enum proxyhdr_verdict {
	PROXYHDR_DONE,
	PROXYHDR_MORE,          /* its end has not come yet, and so far it is right */
	PROXYHDR_BAD,
};

struct proxyhdr {
	size_t len;                     /* its bytes, to be taken from what came */
	bool tells;                     /* false: of no client; the connection is what it looks like */
	struct addr source, destination;        /* AF_UNIX: a socket's path, which is not kept */
};

/* Looks at the first `len` bytes of a connection. At PROXYHDR_BAD *why is a static phrase. */
enum proxyhdr_verdict proxyhdr_read(struct proxyhdr *header, const void *bytes, size_t len, const char **why);

/* What version 2 tells beside the addresses. NULL: nothing is known of it. */
struct proxyhdr_facts {
	const char *authority;          /* the name that the client asked for by SNI */
	const char *session;            /* PP2_TYPE_UNIQUE_ID: ours */
	const char *tls_version;        /* "TLSv1.3"; NULL: the client has no TLS, and then there is none of: */
	const char *tls_cipher;
	const char *alpn;               /* the protocol that was agreed on in TLS */
	const char *tls_common_name;    /* of the client's certificate */
	bool has_certificate, verified;
	bool resumed;                   /* it was not shown on this connection, but on one before in its TLS session */
};

/*
 * Appends a header that tells of `source`, whose connection came to `destination`. When
 * their families differ IPv4 is written as an IPv6 address (::ffff:192.0.2.1); of a UNIX
 * client nothing but that it is one of ours can be told. Returns 0, or -1: it does not fit.
 */
int proxyhdr_write_v1(struct buf *out, const struct addr *source, const struct addr *destination);
int proxyhdr_write_v2(struct buf *out, const struct addr *source, const struct addr *destination,
    const struct proxyhdr_facts *facts);

#endif

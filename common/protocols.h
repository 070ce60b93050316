/*
 * protocols - the protocols there are, one row each
 *
 * Whoever adds a protocol adds a row here, two files in worker/proto/ and their tests;
 * everything else is derived. The row: C name; word of the configuration; the ways to
 * log in that it knows (enum method of conf.h); defaults of its *_auth, *_capabilities
 * and *_client_buffer; default ports, by which nginx chooses the protocol, zero-ended:
 * that for clear text first, then that for TLS.
 * Built on: nothing.
 */
#ifndef POSTERN_COMMON_PROTOCOLS_H
#define POSTERN_COMMON_PROTOCOLS_H

#define PROTOCOLS(ROW) \
	ROW(IMAP, imap, METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN, \
	    "plain", "IMAP4 IMAP4rev1 UIDPLUS", "4k", 143, 993, 0) \
	ROW(POP3, pop3, METHOD_PLAIN | METHOD_APOP | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN, \
	    "plain", "TOP USER UIDL", "8k", 110, 995, 0) \
	ROW(SMTP, smtp, METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN | METHOD_NONE, \
	    "plain login", "", "4k", 25, 465, 587)

enum protocol {
#define PROTOCOL_ENUM(upper, lower, ...) PROTOCOL_##upper,
	PROTOCOLS(PROTOCOL_ENUM)
#undef PROTOCOL_ENUM
	PROTOCOL_COUNT,
	PROTOCOL_UNKNOWN = PROTOCOL_COUNT
};

/* "imap"; the word of the configuration and of Auth-Protocol. */
const char *protocol_name(enum protocol protocol);

/* PROTOCOL_UNKNOWN when nothing has this name or default port. */
enum protocol protocol_by_name(const char *name);
enum protocol protocol_by_port(unsigned port);

/* The first of its default ports, for clear text, and the second, for TLS from the first byte. */
unsigned protocol_port(enum protocol protocol);
unsigned protocol_tls_port(enum protocol protocol);

#endif

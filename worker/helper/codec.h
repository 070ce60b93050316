/*
 * codec - what workers and helpers say to each other, as bytes
 *
 * One message is one packet of the mailbox, or of the reply socket that travelled with
 * the request: a head of fixed size, then every text with its length before it and a
 * NUL behind it. Both ends are of one build and on one machine, so numbers are as the
 * machine has them. Neither end trusts the other: decoding takes exactly what encoding
 * gives. Pure. Built on: mem, addr, conf.h (enum method), protocols.
 */
#ifndef POSTERN_WORKER_HELPER_CODEC_H
#define POSTERN_WORKER_HELPER_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/protocols.h"

#define CODEC_MAX 24576         /* bytes of one message */
#define CODEC_SECRET_MAX 1024   /* of a password: nobody hashes a longer one */
#define CODEC_TOKEN_MAX 16384   /* of a bearer token */

/* Texts are borrowed: of the asker when encoding, of the packet after decoding. NULL: there is none. */
struct helper_request {
	uint64_t deadline_ms;           /* CLOCK_MONOTONIC: nobody wants the answer after that */
	uint64_t connection;            /* for log lines */
	enum method method;
	enum protocol protocol;
	/* nobody is asked after us: make an unknown user as costly as a wrong password */
	bool is_last;
	struct addr client;
	const char *user;
	/* the password; APOP, CRAM-MD5: the digest in hexadecimal; XOAUTH2, OAUTHBEARER: the token */
	const char *secret;
	const char *authz;              /* authorization identity, when other than user */
	const char *salt;               /* of APOP and CRAM-MD5 */
	const char *server_name;
};

/* HELPER_UNKNOWN: it does not know this user, others may. */
enum helper_outcome { HELPER_ACCEPTED = 1, HELPER_REFUSED, HELPER_UNKNOWN, HELPER_UNAVAILABLE };

/* Texts are owned; NULL: there is none. The fields of struct auth_answer. */
struct helper_reply {
	enum helper_outcome outcome;
	unsigned port;
	bool is_unix;
	bool says_ssl;                  /* ... what TLS the backend gets: */
	enum proxy_ssl ssl;
	uint64_t wait_ms;               /* silence before a refusal */
	uint64_t epoch;                 /* of the file that was answered from; the helper's loop fills it in */
	char *user, *pass, *host;
	char *text;                     /* for the client */
	char *reason;                   /* for the log; no secret */
};

/* Return the length of the message, or -1 if it would pass `size`. */
ssize_t helper_request_encode(void *out, size_t size, const struct helper_request *request);
ssize_t helper_reply_encode(void *out, size_t size, const struct helper_reply *reply);

/*
 * Return 0, or -1 for bytes that no encoder of ours wrote. The request points into
 * `bytes`; the reply is the caller's to reset, and empty after -1.
 */
int helper_request_decode(struct helper_request *request, const void *bytes, size_t len);
int helper_reply_decode(struct helper_reply *reply, const void *bytes, size_t len);

/* Wipes and frees the texts. */
void helper_reply_reset(struct helper_reply *reply);

#endif

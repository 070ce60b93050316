/*
 * sasl - the server's side of the SASL mechanisms, one exchange at a time
 *
 * RFC 4422 with PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5
 * (RFC 2195) and EXTERNAL (RFC 4422 appendix A). The protocol around it sends the
 * challenges and cuts the lines; sasl knows only base64 lines and what they hold.
 * Strict: CR, LF and NUL in a user name or password, an empty user name (but for EXTERNAL),
 * bytes behind the end are refused, always with a reason for the log that holds no secret.
 * Built on: base64, mem, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_SASL_H
#define POSTERN_WORKER_PROTO_SASL_H

#include "worker/proto/proto.h"

enum sasl_verdict {
	SASL_CHALLENGE, /* send sasl->challenge (base64, may be empty) and wait for a line */
	SASL_DONE,      /* credentials are complete; those of LOGIN are METHOD_PLAIN like any password in the clear */
	SASL_CANCELLED, /* the client sent "*" */
	SASL_BAD,       /* `note` says what was wrong; the exchange is over */
};

struct sasl {
	enum method method;     /* 0: no exchange under way */
	unsigned step;
	const char *answer;     /* static; at SASL_BAD: "invalid command" or "invalid credentials", for the client */
	char challenge[PROTO_SALT * 2];
};

/*
 * Finds the mechanism that a client named, of those that it may use: PLAIN and LOGIN
 * count as one (listing either allows both). Returns its bit, or 0.
 */
enum method sasl_mechanism(const char *name, size_t len, unsigned allowed);

/*
 * Begins an exchange. `initial` is the initial response in base64 ("=" is the empty
 * one, RFC 4954 section 4), NULL when the client gave none.
 */
enum sasl_verdict sasl_start(struct sasl *s, enum method method, const char *initial, size_t len,
    const struct facts *facts, struct credentials *out, char note[PROTO_NOTE]);

/* Feeds the client's next line. */
enum sasl_verdict sasl_step(struct sasl *s, const char *line, size_t len, const struct facts *facts,
    struct credentials *out, char note[PROTO_NOTE]);

/* The word for a mechanism list: "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"; NULL for a bit that is none of these. */
const char *sasl_name(enum method method);

/* May this go into a credential: not empty (unless `may_be_empty`), no CR, LF, NUL, at most max_len? */
bool sasl_text_ok(const char *text, size_t len, size_t max_len, bool may_be_empty);

#endif

/*
 * sasl - the server's side of the SASL mechanisms, one exchange at a time
 *
 * RFC 4422 with PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5
 * (RFC 2195), EXTERNAL (RFC 4422 appendix A), and with a bearer token XOAUTH2 and
 * OAUTHBEARER (RFC 7628). The protocol around it sends the challenges and cuts the lines;
 * sasl knows only base64 lines and what they hold. Strict: CR, LF and NUL in a user name or
 * password, an empty user name (but where certificate or token say who it is), bytes behind
 * the end are refused, always with a reason for the log that holds no secret.
 *
 * An exchange of tokens has an epilogue when it fails: an error challenge, and only the
 * client's answer to that, whatever it is, brings the refusal. sasl keeps it till then.
 * Built on: base64, bearer, buf, mem, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_SASL_H
#define POSTERN_WORKER_PROTO_SASL_H

#include "worker/proto/proto.h"

enum sasl_verdict {
	SASL_CHALLENGE, /* send sasl->challenge (base64, may be empty) and wait for a line */
	SASL_DONE,      /* credentials are complete; those of LOGIN are METHOD_PLAIN like any password in the clear */
	SASL_CANCELLED, /* the client sent "*" */
	SASL_BAD,       /* `note` says what was wrong; the exchange is over */
	SASL_REFUSED,   /* the error challenge is answered: sasl_say_refusal() */
};

/* Begins zeroed. */
struct sasl {
	enum method method;     /* 0: no exchange under way */
	unsigned step;
	const char *answer;     /* static; at SASL_BAD: "invalid command" or "invalid credentials", for the client */
	char challenge[PROTO_SALT * 2];
	enum method judged;     /* of whose token it is asked now whether it holds; 0: of none */
	struct buf refusal;     /* what the answer to an error challenge brings */
	bool close;             /* and with it the end */
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

/*
 * What SASL_DONE gave was refused. NULL: say so at once. Or the error challenge, base64: to
 * be sent now, and what would have been said goes into s->refusal. Valid as long as `why`
 * and `s` are. What is not known yet (REFUSAL_UNAVAILABLE and such) is no error of a token.
 */
const char *sasl_refused(struct sasl *s, const struct refusal *why);

/* Says at SASL_REFUSED what was kept back. PROTO_AGAIN; PROTO_CLOSE if the refusal asks for it or there is no room. */
enum proto_verdict sasl_say_refusal(struct sasl *s, struct buf *out);

/* Ends the exchange, if any, and forgets all of it. */
void sasl_reset(struct sasl *s);

/* Appends the name of each mechanism among `methods`, between `before` and `after`. 0, or -1: no room. */
int sasl_list(struct buf *out, unsigned methods, const char *before, const char *after);

/* The methods that are mechanisms. */
#define SASL_METHODS (METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHODS_TOKEN)

/* May this go into a credential: not empty (unless `may_be_empty`), no CR, LF, NUL, at most max_len? */
bool sasl_text_ok(const char *text, size_t len, size_t max_len, bool may_be_empty);

#endif

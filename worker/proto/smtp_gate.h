/*
 * smtp_gate - an unauthenticated SMTP session after its first recipient
 *
 * Such a session never becomes opaque. The gate stands between client and backend and
 * passes commands one at a time, so answers stay in order however the client pipelines
 * (RFC 2920). Each RCPT of each transaction goes to the authentication source first.
 * Message text passes byte for byte: DATA to the line that holds a single dot
 * (RFC 5321 section 4.1.1.4), BDAT by its count (RFC 3030). Commands that the gate does
 * not know never reach the backend: it trusts us, and XCLIENT is one of them.
 * Text that one side could take to end at another place than we do (a dot between bare
 * LFs) closes the session. Chunks go only to a backend that has said that it will count
 * them: to another they would be commands. Built on: line, smtp, smtp_body,
 * smtp_login, smtp_words.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_GATE_H
#define POSTERN_WORKER_PROTO_SMTP_GATE_H

#include "worker/proto/proto.h"

struct smtp_gate;

enum gate_verdict {
	GATE_MORE,      /* nothing to do until bytes come, or until `to_client` or `to_server` is drained */
	GATE_AGAIN,     /* progress was made: call again */
	GATE_ASK,       /* smtp_gate_credentials() are to be judged: then smtp_gate_answer() */
	GATE_CLOSE,     /* send what is in `to_client`, then close both; the note says why if it is no QUIT */
};

/*
 * Begins where the first RCPT's answer has been given. `client` is the smtp client half:
 * the gate takes its HELO and MAIL over. `login` is the login half: what the backend
 * answered to the RCPT and whether it takes BDAT. Both may be freed afterwards. `facts`
 * is borrowed.
 */
struct smtp_gate *smtp_gate_new(const struct facts *facts, const struct client *client, const struct login *login);
void smtp_gate_free(struct smtp_gate **gatep);

/*
 * One step: takes from `from_client` and `from_server`, appends to `to_server` and
 * `to_client`. Whoever is slow to read stops the other side: nothing is taken that does
 * not fit. Message text moves in pieces as large as the room allows.
 */
enum gate_verdict smtp_gate_step(struct smtp_gate *gate, struct buf *from_client, struct buf *from_server,
    struct buf *to_client, struct buf *to_server);

/* The recipient that waits for a verdict: method none, with helo, mail and rcpt. */
const struct credentials *smtp_gate_credentials(const struct smtp_gate *gate);

/* NULL: it may go to the backend. A refusal never closes the session here: others may have been accepted. */
void smtp_gate_answer(struct smtp_gate *gate, const struct refusal *refusal, struct buf *to_client);

/*
 * The backend will say no more than what stands in `from_server`, and takes nothing. True
 * when message text was on its way: then the next steps read those last words.
 */
bool smtp_gate_server_left(struct smtp_gate *gate);

/* What to log, "" for nothing, and how grave it is; cleared by the caller. */
char *smtp_gate_note(struct smtp_gate *gate);
enum log_level smtp_gate_note_level(const struct smtp_gate *gate);

/* True while the client has the turn: its silence then counts. */
bool smtp_gate_client_turn(const struct smtp_gate *gate);

/* True when no answer is half said, so that a goodbye line cannot be taken for a part of it. */
bool smtp_gate_idle(const struct smtp_gate *gate);

#endif

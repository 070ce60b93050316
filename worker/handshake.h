/*
 * handshake - TLS towards the client: at once, or after STARTTLS
 *
 * Handshakes are costly and share a turn's two milliseconds; those that are not reached
 * wait, and `timeout` drops them. The client's SNI chooses the session's server, once;
 * then its certificate is judged (ssl_verify_client). Built on: session, sni, conn.
 */
#ifndef POSTERN_WORKER_HANDSHAKE_H
#define POSTERN_WORKER_HANDSHAKE_H

#include <stdint.h>

struct session;

/*
 * Shakes hands within `limit_ms`, then calls secured(s). When it fails that is logged and
 * the session ends; `secured` is not called.
 */
void handshake_begin(struct session *s, uint64_t limit_ms, void (*secured)(struct session *s));

#endif

/*
 * tlsscene - settings for a server and a peer, and what comes of them
 *
 * Certificates are certbox's: besides its own there are good, expired and revoked (of ca)
 * and lonely (of itself), and none.crl, and revoked.crl with "revoked". Change the settings,
 * then meet.
 */
#ifndef POSTERN_TEST_UNIT_TLSSCENE_H
#define POSTERN_TEST_UNIT_TLSSCENE_H

#include <openssl/ssl.h>

#include "common/conf.h"
#include "common/tlsctx.h"

extern struct tlspool *scene_pool;
extern struct conf_tls scene_server, scene_client;

/* For an unchecked fixture: the files. */
void scene_files(void);
void scene_no_files(void);

/* For a checked one: a pool and settings that work, TLS 1.2 and 1.3, without contexts. */
void scene_open(void);
void scene_close(void);

/* One certificate for a side, or none if `name` is NULL. */
void scene_certify(struct conf_tls *tls, const char *name);

/* (Re)builds the contexts of both sides; they must be good. */
void scene_build(void);

/* The context of `tls` as a server's, built afresh. */
void scene_build_server(struct conf_tls *tls);

struct scene_meeting {
	SSL *client, *server;
	bool done;
};

/* Two new connections, ready to shake hands. */
struct scene_meeting scene_prepare(const char *host, const char *alpn, struct tls_choice *choice);

/* The same, and they have, or failed: as `imap`, or without a word of ALPN if NULL. */
struct scene_meeting scene_meet(const char *host, const char *alpn);
void scene_part(struct scene_meeting *meeting);

/* Keeps the sessions that the client is given; the last one, and how many there were. */
extern SSL_SESSION *scene_session;
extern unsigned scene_session_count;

/* Meets with `scene_session` at hand and says whether it was resumed; the last session is a new one then. */
bool scene_resumes(const char *alpn);

#endif

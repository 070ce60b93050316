/*
 * tlsctx_parts - what the parts of tlsctx share
 *
 * tlsctx_build makes a context of what tlspool keeps: certificates, and a base, whose SSL_CTX
 * tlsbase has set; tlsctx makes connections of it. For these files and their tests alone.
 * Built on: tlskept, tlskey.
 */
#ifndef POSTERN_COMMON_TLSCTX_PARTS_H
#define POSTERN_COMMON_TLSCTX_PARTS_H

#include "common/tlsctx.h"
#include "common/tlskept.h"

#define TLSCTX_SID 24           /* bytes of a session id context that tell settings apart; the rest tells protocols */

struct tlscache;
struct tlskey;
struct tlsstaple;
struct tlsticket;
struct tlstrust;

/* An SSL_CTX without certificates: servers that differ in nothing else share it. */
struct tlsbase {
	SSL_CTX *ssl;                   /* owned */
	struct tlskept *trust;          /* held; NULL: none */
	struct tlskept *cache;          /* held; NULL: no shared cache of sessions */
	const struct tlsticket *tickets;        /* NULL: a peer's */
	struct tlsticket *own_tickets;  /* owned; NULL: `tickets` are the pool's */
	char *curves;                   /* owned; NULL: OpenSSL's */
	char *suites;                   /* owned: the cipher suites of TLS 1.3 */
};

struct tlsctx {
	struct tlskept *self;           /* where it is kept; borrowed */
	struct tlskept *base_kept;      /* held */
	const struct tlsbase *base;     /* its thing */
	struct tlskept **certs_kept;    /* owned array, held */
	const struct tlscert **certs;   /* owned array, NULL-ended: their things */
	size_t cert_count;
	struct tlsstaple *staple;       /* owned; NULL: none */
	unsigned char sid[TLSCTX_SID];  /* sessions of one context are nothing to another */
};

/* What is being built: of which settings, in which pool, and where the reason goes if it cannot be. */
struct tlsbuild {
	struct tlspool *pool;
	const struct conf_tls *tls;
	char *why;
	size_t size;
};

/* A key for this load's things, which later loads may find if the pool lets them. */
void tlspool_begin_key(const struct tlsbuild *b, struct tlskey *key, const char *kind);

/* As tlskept_find() and tlskept_add(), in the pool. */
struct tlskept *tlspool_find(const struct tlsbuild *b, const char *key);
struct tlskept *tlspool_keep(const struct tlsbuild *b, char *key, void *thing, void (*destroy)(void *thing));

/* The struct tlscert of these files, the struct tlsbase of the settings: held, or NULL with the reason. */
struct tlskept *tlspool_certificate(const struct tlsbuild *b, const char *path, const char *key_path);
struct tlskept *tlspool_base(const struct tlsbuild *b, bool peer);

/* Makes the SSL_CTX; trust, cache and tickets are set already. Returns 0, or -1 with the reason. */
int tlsbase_make_server(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size);
int tlsbase_make_peer(struct tlsbase *base, const struct conf_tls *tls, char *why, size_t size);
void tlsbase_free(struct tlsbase **basep);

/* The callbacks of tlsctx, into a new SSL_CTX of `base`. */
void tlsctx_init(void);
void tlsctx_install_server(struct tlsbase *base);
void tlsctx_install_peer(struct tlsbase *base);

#endif

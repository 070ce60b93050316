/*
 * tls_build - the TLS contexts of a configuration
 *
 * Builds one for every side of every server that wants TLS, before a socket is bound:
 * a certificate that is no good stops a start, and leaves a reload with what it had.
 * What is not wrong yet but will be, or is unwise, is warned of once a file.
 * Built on: tlsctx, tlscert, conf_say.
 */
#ifndef POSTERN_MASTER_TLS_BUILD_H
#define POSTERN_MASTER_TLS_BUILD_H

struct conf;
struct conf_tls;
struct tlscert;
struct tlspool;

/*
 * Sets `context` wherever TLS may be wanted. Returns 0, or -1 with the reason logged; then
 * tls_release() is still to come.
 */
int tls_build(struct tlspool *pool, struct conf *conf);

/* Gives all contexts back. */
void tls_release(struct conf *conf);

/* Calls `visit` for each certificate in force, in the order of servers: towards clients, backends, the auth server. */
void tls_each_certificate(const struct conf *conf,
    void (*visit)(void *ctx, const struct conf_tls *tls, const struct tlscert *cert), void *ctx);

#endif

/*
 * preface - what goes to a backend before anything of its protocol
 *
 * The PROXY header (proxy_protocol), which tells who the client is, in the clear and in
 * one write, in front of TLS as well. Built on: session, entry, proxyhdr.
 */
#ifndef POSTERN_WORKER_PREFACE_H
#define POSTERN_WORKER_PREFACE_H

#include <stdbool.h>

struct session;

/*
 * Sends it to the backend that has just been connected, if the server wants that. False, with the
 * reason logged: it could not.
 */
bool preface_send(struct session *s);

#endif

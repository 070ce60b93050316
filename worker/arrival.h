/*
 * arrival - a client comes to the door
 *
 * What is to be known before the greeting: where the client really comes from, when a
 * proxy in front of us tells (the PROXY header, whose word counts from trusted addresses
 * alone), and whether one from there may come in. Then the dialogue begins.
 * Built on: session, proxyhdr, addrset.
 */
#ifndef POSTERN_WORKER_ARRIVAL_H
#define POSTERN_WORKER_ARRIVAL_H

struct session;

/* Lets a session begin. It may have ended when this returns. */
void arrival_begin(struct session *s);

#endif

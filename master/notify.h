/*
 * notify - what the service manager is told
 *
 * The protocol of sd_notify(3), which needs no library: datagrams to the socket that
 * NOTIFY_SOCKET names. Without that variable nothing here does anything; a service manager
 * that is gone, or does not listen, is a warning and no more. The variables stay in the
 * master's environment, for a master that follows; no child of another kind sees them.
 * Built on: loop, log, num.
 */
#ifndef POSTERN_MASTER_NOTIFY_H
#define POSTERN_MASTER_NOTIFY_H

struct loop;
struct notify;

/* Reads the environment, in the process that the service manager has started. Never NULL. */
struct notify *notify_new(void);

/* From now on it is told by way of `loop`, borrowed, that we live, if it has asked for that (WATCHDOG_USEC). */
void notify_watch(struct notify *notify, struct loop *loop);

/* This process serves, and is the main one of the service. `status`: a line for people. */
void notify_ready(struct notify *notify, const char *status);

/* It takes a configuration anew; notify_ready() says when that has ended, whichever way. */
void notify_reloading(struct notify *notify);

/* It is about to end. */
void notify_stopping(struct notify *notify, const char *status);

/* In a child that will be the next master by exec: it is the one that is watched then. */
void notify_hand_on(const struct notify *notify);

/* NULL is fine; leaves NULL. */
void notify_free(struct notify **notifyp);

#endif

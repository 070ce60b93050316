/*
 * epitaph - what is remembered of a login when its memory is gone
 *
 * One packed block: the user's name and the backend, for the log lines and the
 * statistics of a session that may be idle for days. Built on: addr, mem.
 */
#ifndef POSTERN_WORKER_EPITAPH_H
#define POSTERN_WORKER_EPITAPH_H

#include "common/addr.h"

struct epitaph {
	struct addr backend;    /* family AF_UNSPEC: not connected yet */
	char user[];            /* as the backend knows it; escaped for the log already, bounded */
};

/* A fresh epitaph; `user` is a stranger's text and may be NULL. */
struct epitaph *epitaph_new(const char *user, const struct addr *backend);

#endif

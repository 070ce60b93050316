/*
 * epitaph - what is remembered of a login when its memory is gone
 *
 * One packed block: the user's name, who has decided about it, and the backend, for the
 * log lines and the statistics of a session that may be idle for days. Built on: addr,
 * conf, mem.
 */
#ifndef POSTERN_WORKER_EPITAPH_H
#define POSTERN_WORKER_EPITAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

struct conf_source;

struct epitaph {
	struct addr backend;    /* family AF_UNSPEC: not connected yet */
	uint32_t source;        /* who has decided: 1 + its index in conf->sources; 0: nobody yet */
	bool cached;            /* it was not asked again */
	char user[];            /* as the backend knows it; escaped for the log already, bounded */
};

/* A fresh epitaph; `user` is a stranger's text and may be NULL. */
struct epitaph *epitaph_new(const char *user, const struct addr *backend);

/* Notes who has decided; NULL: nobody yet. */
void epitaph_decided(struct epitaph *e, const struct conf_source *source, bool cached);

/* Who that was, of these sources; NULL: nobody yet. */
const struct conf_source *epitaph_source(const struct epitaph *e, struct conf_source *const *sources);

#endif

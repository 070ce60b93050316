/*
 * source - the helpers that say who a client is
 *
 * A source of the configuration that needs helpers gets a mailbox and processes here.
 * They belong to what the source is, not to a generation: a reload that leaves
 * its settings, its program and its log alone leaves them and their connections. The
 * last generation that uses a source ends it.
 *
 * The file that helpers read comes from the feed as a snapshot; when it changes they are
 * sent the next one, each under a number of its own, and none before they have said what
 * became of the last. The number of the one that a helper has last confirmed is the source's
 * epoch, in a page that workers can read: an answer from an older file is void. A helper
 * that is started anew begins with the confirmed one, so that a bad file locks nobody out, and
 * a file that helpers die of is given up. Built on: helper, spawn, feed, memfd.
 */
#ifndef POSTERN_MASTER_SOURCE_H
#define POSTERN_MASTER_SOURCE_H

#include <stdint.h>

struct conf;
struct conf_source;
struct feed;
struct source;
struct sources;
struct spawn;

enum source_state {
	SOURCE_STARTING,
	SOURCE_READY,           /* every helper has said so once */
	SOURCE_FAILED           /* one did not */
};

/*
 * `changed` is called when the state of a source has changed. Until sources_leave_terminal()
 * helpers say what is severe on our stderr too: somebody waits there for the start.
 */
struct sources *sources_new(struct spawn *spawn, struct feed *feed, void (*changed)(void *ctx), void *ctx);
void sources_free(struct sources **sourcesp);
void sources_leave_terminal(struct sources *sources);

/* Opens the log files of all helpers anew and sends them. */
void sources_reopen_logs(struct sources *sources);

/* From now on a source has one helper, to show whether it can be had, and helpers log on stderr alone. */
void sources_rehearse(struct sources *sources);

/* The source with these settings; its helpers are forked if it is new. NULL with the reason logged. */
struct source *source_use(struct sources *sources, const struct conf *conf, const struct conf_source *settings);

/* The end of use; leaves NULL. NULL is fine. */
void source_leave(struct source **sourcep);

enum source_state source_state(const struct source *source);

/* The end of the mailbox that workers write to; the source's. */
int source_mailbox(const struct source *source);

/* Which answers are not void; the source's, readable in every child. NULL: there is no file that could void any. */
const _Atomic uint64_t *source_epoch(const struct source *source);

/*
 * Can the sources of conf->sources, in the same order and all ready (NULL: has no helpers),
 * serve what its servers offer? Returns 0, or -1 with the reason logged.
 */
int sources_judge(const struct conf *conf, struct source *const *sources);

#endif

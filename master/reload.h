/*
 * reload - a new configuration takes over, or nothing changes
 *
 * Load, resolve names in a child, check, open what is named, start new children, wait
 * until each has said READY: only then is the old generation told to finish. Whatever
 * goes wrong before ends the new generation and is said in the log. A reload that is
 * asked for while one is under way follows it. Built on: conf_load, conf_check, names,
 * generation.
 */
#ifndef POSTERN_MASTER_RELOAD_H
#define POSTERN_MASTER_RELOAD_H

#include <stdbool.h>
#include <sys/types.h>

struct conf_request;
struct generation;
struct generation_means;
struct loop;
struct reload;

/*
 * The new generation serves. To let it succeed the old one, and retire that, is the callee's.
 * NULL: it was refused, which has been said, and nothing has changed.
 */
typedef void reload_callback(void *ctx, struct generation *generation);

/* `request` and `means` are borrowed; request->generation is counted up with each load. */
struct reload *reload_new(struct loop *loop, struct generation_means *means, struct conf_request *request,
    reload_callback *done, void *ctx);

/* Gives up what is under way, as reload_cancel() does. NULL is fine; leaves NULL. */
void reload_free(struct reload **reloadp);

/* `current` is the generation in force, borrowed until the reload has ended. */
void reload_begin(struct reload *reload, struct generation *current);

/* Something may have changed with the new generation, if there is one: goes on from there, in the next turn. */
void reload_look(struct reload *reload);

bool reload_is_under_way(const struct reload *reload);

/* Ends what is under way; nothing has changed. */
void reload_cancel(struct reload *reload);

/* Says that `pid` was reaped; returns whether it was the reload's. */
bool reload_reaped(struct reload *reload, pid_t pid);

#endif

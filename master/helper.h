/*
 * helper - how a helper process is made
 *
 * A plan holds everything that the helpers of one source are made of: the program as an
 * open file, account, environment, log, what they are told on their channel, and the
 * mailbox they answer. It copies what it needs, for it outlives the configuration that
 * it came from. Two plans with equal keys make the same helpers.
 *
 * Helpers run as the workers' user, or as the one that their source names. Root (auth_pam,
 * unless it is told otherwise) means uid 0 with few capabilities: reading what others may
 * not (shadow, the stacks' own files), becoming the user for modules that act as it,
 * owning the files that modules keep per user, and telling the audit log. Writing where
 * root has no permission, the network's settings, the kernel, other processes' memory: none
 * of that is left, and programs that modules run do not get it back. It is uid 0 all the
 * same: what root owns is its own, and root's processes take its signals. Where modules do
 * not need root, another account is better. A master that is not root makes helpers as
 * what it is itself.
 * Built on: conf, spawn, ipc, logfile, proc, capability.
 */
#ifndef POSTERN_MASTER_HELPER_H
#define POSTERN_MASTER_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct arena;
struct conf;
struct conf_source;
struct place;
struct programs;

/* Where a helper logs to: a file if `path` is there, syslog if `syslog` is, else stderr. */
struct helper_log {
	const char *path;
	const char *syslog;             /* address, tag and hostname, each ended by NUL */
	size_t syslog_len;
	unsigned level, priority;
};

struct helper_plan {
	struct arena *arena;            /* owned: all that is pointed to */
	const char *key;
	char *label;                    /* the source's */
	const char *settings;           /* the source's, "" if it has none */
	bool has_file;                  /* it is fed one */
	const char *program;            /* its file's name */
	const char *program_path;
	char *title;                    /* in ps(1), before the label */
	int executable;                 /* owned */
	int mailbox;                    /* owned: the end that helpers read */
	/* owned: a snapshot of the source's file as helpers have read it; -1: none yet */
	int file;
	int fresh;                      /* owned: as it is now, while none of them has yet; -1: it is `file` */
	int64_t file_number, fresh_number;      /* so that an answer tells of which it is */
	const char *user;               /* whose account and groups it has, where we are root */
	uid_t uid;
	gid_t gid;
	char **environment;
	struct helper_log *logs;
	size_t log_count;
	bool terminal;                  /* what is severe goes to our stderr too, until helper_leave_terminal() */
};

/* Does a source of this kind need helpers? */
bool helper_is_needed(const struct conf_source *source);

/* Opens the program, by way of `programs`. NULL with the reason logged. */
struct helper_plan *helper_plan_new(const struct conf *conf, const struct conf_source *source,
    const struct programs *programs);
void helper_plan_free(struct helper_plan **planp);

/* In the new process: becomes the helper, never returns. */
_Noreturn void helper_become(const struct helper_plan *plan, int channel);

/* Tells the new process of a place its settings. Returns 0, or -1 with the reason logged. */
int helper_instruct(const struct helper_plan *plan, struct place *place);

/* Sends it the source's file, or the fresh one. Returns as helper_instruct() does. */
int helper_feed(const struct helper_plan *plan, struct place *place, bool fresh);

/* Takes our stderr away from the process of a place that got it. */
void helper_leave_terminal(const struct helper_plan *plan, struct place *place);

/* Opens log file `index` of the plan anew and sends it to each of the places. */
void helper_reopen_log(const struct helper_plan *plan, size_t index, struct place *const *places, size_t count);

#endif

/*
 * confbox - a folder with configuration files, and what loading them said
 *
 * The main file is n.conf. Names are resolved by a table instead of the network. What
 * was said is kept as "[emerg] text in n.conf:1" lines; the folder's name is left out.
 */
#ifndef POSTERN_TEST_UNIT_CONFBOX_H
#define POSTERN_TEST_UNIT_CONFBOX_H

#include "common/conf.h"
#include "common/log.h"
#include "master/conf_load.h"

struct confbox {
	char folder[32];
	char *said;             /* since the last load */
	struct conf_request request;
	int log_fd;
	struct log log;
	struct log_target target;
	char *main_path;
};

void confbox_open(struct confbox *box);
void confbox_close(struct confbox *box);

/* Writes a file into the folder. */
void confbox_write(struct confbox *box, const char *name, const char *text);

/* Only loads n.conf. The caller frees the result. */
struct conf *confbox_load(struct confbox *box, const char *text);

/* Loads, resolves and checks; NULL unless all went well. */
struct conf *confbox_check(struct confbox *box, const char *text);

/* The same for a mail{} of this text, with an events{} in front of it. */
struct conf *confbox_mail(struct confbox *box, const char *text);

/* Checking `text` must fail with this one line of n.conf. A file `users` is there. */
void confbox_refuses(const char *text, const char *why, unsigned line);

/* The dump of `conf`; fresh. */
char *confbox_dump(const struct conf *conf);

#endif

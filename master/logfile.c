#include "master/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"

int
logfile_open(const char *path)
{
	/* Nonblocking is for FIFOs and terminals: nobody who does not read may stop us. */
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
}

/* Calls `visit` for each target of each log; a target that several logs share may come more than once. */
static void
each_target(const struct conf *conf, void (*visit)(void *ctx, struct log_target *target), void *ctx)
{
	for (struct log_target *t = conf->log->targets; t != NULL; t = t->next)
		visit(ctx, t);
	for (size_t i = 0; i < conf->server_count; i++)
		for (struct log_target *t = conf->servers[i]->log->targets; t != NULL; t = t->next)
			visit(ctx, t);
}

struct opening {
	const struct conf *conf;
	int result;
};

/* A server that is not there loses lines, and stops nothing. */
static int
open_syslog(const struct log_target *target)
{
	char text[ADDR_TEXT + 128];
	int error, fd = log_open_syslog(&target->server, &error);

	if (fd == -1)
		log_say(LOG_EMERG, "socket() for syslog failed %s", log_errno(errno));
	else if (error != 0)
		log_say(LOG_WARN, "connect() to syslog %s failed %s",
		    endpoint_format(text, sizeof(text), &target->server), log_errno(error));
	return fd;
}

/* Gives a target its descriptor. */
static void
open_target(void *ctx, struct log_target *target)
{
	struct opening *opening = ctx;

	if (target->kind == LOG_TO_FILE && opening->conf->files[target->file]->fd == -1)
		target->kind = LOG_TO_STDERR;   /* the compiled-in file that nobody named */
	if (target->kind == LOG_TO_FILE)
		target->fd = opening->conf->files[target->file]->fd;
	else if (target->kind == LOG_TO_STDERR)
		target->fd = STDERR_FILENO;
	else if (target->fd == -1 && (target->fd = open_syslog(target)) == -1)
		opening->result = -1;
}

static void
close_target(void *ctx, struct log_target *target)
{
	(void)ctx;
	if (target->kind == LOG_TO_SYSLOG && target->fd != -1)
		close(target->fd);
	target->fd = -1;
}

static int
open_file(struct conf_file *file)
{
	file->fd = logfile_open(file->path);
	if (file->fd != -1 || file->fallback)
		return 0;
	log_say(LOG_EMERG, "open() \"%s\" failed %s", file->path, log_errno(errno));
	return -1;
}

int
logfile_open_all(struct conf *conf)
{
	struct opening opening = { .conf = conf };

	for (size_t i = 0; i < conf->file_count; i++)
		conf->files[i]->fd = -1;
	for (size_t i = 0; i < conf->file_count && opening.result == 0; i++)
		opening.result = open_file(conf->files[i]);
	if (opening.result == 0)
		each_target(conf, open_target, &opening);
	if (opening.result == -1)
		logfile_close_all(conf);
	return opening.result;
}

void
logfile_close_all(struct conf *conf)
{
	each_target(conf, close_target, NULL);
	for (size_t i = 0; i < conf->file_count; i++) {
		if (conf->files[i]->fd != -1)
			close(conf->files[i]->fd);
		conf->files[i]->fd = -1;
	}
}

/* Only a plain file with one name: never a device, nor what a link in a log directory might lead to. */
static void
give_to_workers(const struct conf *conf, const char *path, int fd)
{
	struct stat st;

	if (geteuid() != 0 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    st.st_uid == conf->uid)
		return;
	if (fchown(fd, conf->uid, (gid_t)-1) == -1)
		log_say(LOG_EMERG, "chown() \"%s\" failed %s", path, log_errno(errno));
}

static void
reopen(const struct conf *conf, const struct conf_file *file)
{
	int fd = logfile_open(file->path);

	if (fd == -1) {
		log_say(LOG_EMERG, "open() \"%s\" failed %s", file->path, log_errno(errno));
		return;
	}
	give_to_workers(conf, file->path, fd);
	if (dup3(fd, file->fd, O_CLOEXEC) == -1)
		log_say(LOG_ALERT, "dup3() \"%s\" failed %s", file->path, log_errno(errno));
	close(fd);
}

void
logfile_reopen_all(const struct conf *conf)
{
	for (size_t i = 0; i < conf->file_count; i++)
		if (conf->files[i]->fd != -1)
			reopen(conf, conf->files[i]);
}

void
logfile_take_stderr(const struct conf *conf)
{
	const struct log_target *file = NULL;

	for (const struct log_target *t = conf->log->targets; t != NULL; t = t->next) {
		if (t->kind == LOG_TO_STDERR)
			return;
		if (t->kind == LOG_TO_FILE && file == NULL)
			file = t;
	}
	if (file != NULL && file->fd != -1 && dup2(file->fd, STDERR_FILENO) == -1)
		log_say(LOG_ALERT, "dup2() to stderr failed %s", log_errno(errno));
}

struct taking {
	void (*take)(void *ctx, int fd);
	void *ctx;
};

static void
take_syslog(void *ctx, struct log_target *target)
{
	const struct taking *taking = ctx;

	if (target->kind == LOG_TO_SYSLOG && target->fd != -1)
		taking->take(taking->ctx, target->fd);
}

void
logfile_each_fd(const struct conf *conf, void (*take)(void *ctx, int fd), void *ctx)
{
	struct taking taking = { .take = take, .ctx = ctx };

	/* All files, also those that no log in use names: IPC_LOGFILE comes for each, under its number. */
	for (size_t i = 0; i < conf->file_count; i++)
		if (conf->files[i]->fd != -1)
			take(ctx, conf->files[i]->fd);
	each_target(conf, take_syslog, &taking);
}

#include "master/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/capability.h"
#include "common/conf.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/proc.h"
#include "master/conf_say.h"
#include "master/logfile.h"
#include "master/programs.h"
#include "master/spawn.h"

#define LOG_TO_STDERR_INDEX 0xffffffu

/* The program of each kind of source, how ps(1) shows it before the label, and where to get it. NULL: it needs none. */
static const struct {
	const char *program, *title;
	const char *package, *option;   /* of those that not every build and installation has */
} programs[SOURCE_KINDS] = {
	[SOURCE_FILE] = { "postern-auth-file", "postern: auth_file", NULL, NULL },
	[SOURCE_MYSQL] = { "postern-auth-mysql", "postern: auth_mysql", "postern-mysql", "--with-mysql=yes" },
	[SOURCE_PAM] = { "postern-auth-pam", "postern: auth_pam", "postern-pam", "--with-pam=yes" },
	[SOURCE_JWT] = { "postern-auth-jwt", "postern: auth_jwt", NULL, NULL },
};

/* What is left to a helper that stays root. */
#define KEPT_BY_ROOT (CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID) | \
    CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_AUDIT_WRITE))

bool
helper_is_needed(const struct conf_source *source)
{
	return programs[source->kind].program != NULL;
}

/* --- the plan --- */

static void
copy_log(struct arena *arena, const struct conf *conf, const struct log_target *target, struct helper_log *log)
{
	char address[ADDR_TEXT + 128];
	const char *hostname = target->hostname == NULL ? "" : target->hostname;
	char *text;

	*log = (struct helper_log){ .level = target->level, .priority = target->priority };
	if (target->kind == LOG_TO_FILE) {
		log->path = arena_strdup(arena, conf->files[target->file]->path);
	} else if (target->kind == LOG_TO_SYSLOG) {
		endpoint_format(address, sizeof(address), &target->server);
		log->syslog_len = strlen(address) + strlen(target->tag) + strlen(hostname) + 3;
		log->syslog = text = arena_alloc(arena, log->syslog_len);
		text = stpcpy(text, address) + 1;
		text = stpcpy(text, target->tag) + 1;
		strcpy(text, hostname);
	}
}

static void
copy_logs(struct helper_plan *plan, const struct conf *conf)
{
	size_t count = 0;

	for (const struct log_target *t = conf->log->targets; t != NULL; t = t->next)
		count++;
	plan->logs = arena_alloc(plan->arena, (count + 1) * sizeof(*plan->logs));
	for (const struct log_target *t = conf->log->targets; t != NULL; t = t->next)
		copy_log(plan->arena, conf, t, &plan->logs[plan->log_count++]);
}

static void
copy_environment(struct helper_plan *plan, const struct conf *conf)
{
	for (const char **variable = conf->environment; variable != NULL && *variable != NULL; variable++)
		arena_append(plan->arena, &plan->environment, arena_strdup(plan->arena, *variable));
	if (plan->environment == NULL)
		plan->environment = arena_alloc(plan->arena, sizeof(char *));
}

/* Everything that makes a helper another one, as text. */
static void
make_key(struct helper_plan *plan, const struct conf_source *source, const struct stat *program)
{
	struct arena *arena = plan->arena;
	char *key = arena_printf(arena, "%d %u %s\n%s\n%s\n%s\n%llu %llu %lld.%ld %lld\n%s %u %u\n", source->kind,
	    source->helpers, source->key, source->label, source->path != NULL ? source->path : "", plan->settings,
	    (unsigned long long)program->st_dev, (unsigned long long)program->st_ino,
	    (long long)program->st_mtim.tv_sec, program->st_mtim.tv_nsec, (long long)program->st_size,
	    plan->user, plan->uid, plan->gid);

	for (char **variable = plan->environment; *variable != NULL; variable++)
		key = arena_printf(arena, "%s%s\n", key, *variable);
	for (size_t i = 0; i < plan->log_count; i++) {
		const struct helper_log *log = &plan->logs[i];
		const char *syslog = log->syslog != NULL ? log->syslog : "";
		const char *tag = syslog + (log->syslog != NULL ? strlen(syslog) + 1 : 0);
		const char *hostname = tag + (log->syslog != NULL ? strlen(tag) + 1 : 0);

		key = arena_printf(arena, "%s%u %u %s %s %s %s\n", key, log->level, log->priority,
		    log->path != NULL ? log->path : "", syslog, tag, hostname);
	}
	plan->key = key;
}

static void
say_missing(const struct conf_source *source, const char *path, int error)
{
	const char *package = programs[source->kind].package, *directive = conf_source_directive(source->kind);

	if (error == ENOENT && package != NULL)
		conf_say(LOG_EMERG, &source->place,
		    "\"%s\" needs the program \"%s\", which is not there: install %s, or "
		    "build with %s",
		    directive, path, package, programs[source->kind].option);
	else
		conf_say(LOG_EMERG, &source->place, "\"%s\" needs a program, but open() \"%s\" failed %s", directive,
		    path, log_errno(error));
}

static int
open_program(struct helper_plan *plan, const struct conf_source *source, const struct programs *kept, struct stat *st)
{
	plan->executable = programs_open(kept, plan->program_path);
	if (plan->executable != -1 && fstat(plan->executable, st) == 0)
		return 0;
	say_missing(source, plan->program_path, errno);
	return -1;
}

/* Whose account the source asks for, where that can be had. */
static int
choose_account(struct helper_plan *plan, const struct conf_source *source)
{
	const struct passwd *account;

	if (source->account == NULL)
		return 0;
	if (geteuid() != 0) {
		conf_say(LOG_WARN, &source->place,
		    "\"%s\" sees no more than its user may, since the master process does not "
		    "run with super-user privileges",
		    conf_source_directive(source->kind));
		return 0;
	}
	if ((account = getpwnam(source->account)) == NULL) {
		conf_say(LOG_EMERG, &source->place, "getpwnam(\"%s\") failed for \"%s\"", source->account,
		    conf_source_directive(source->kind));
		return -1;
	}
	plan->user = arena_strdup(plan->arena, source->account);
	plan->uid = account->pw_uid;
	plan->gid = account->pw_gid;
	return 0;
}

struct helper_plan *
helper_plan_new(const struct conf *conf, const struct conf_source *source, const struct programs *kept)
{
	struct arena *arena = arena_new();
	struct helper_plan *plan = arena_alloc(arena, sizeof(*plan));
	struct stat st;

	*plan = (struct helper_plan){
		.arena = arena,
		.label = arena_strdup(arena, source->label),
		.settings = arena_strdup(arena, source->settings != NULL ? source->settings : ""),
		.has_file = source->path != NULL,
		.program = programs[source->kind].program,
		.program_path = arena_printf(arena, "%s/%s", conf->helper_path, programs[source->kind].program),
		.title = arena_strdup(arena, programs[source->kind].title),
		.executable = -1,
		.mailbox = -1,
		.file = -1,
		.fresh = -1,
		.user = arena_strdup(arena, conf->user != NULL ? conf->user : ""),
		.uid = conf->uid,
		.gid = conf->gid,
	};
	if (open_program(plan, source, kept, &st) == -1 || choose_account(plan, source) == -1) {
		helper_plan_free(&plan);
		return NULL;
	}
	copy_logs(plan, conf);
	copy_environment(plan, conf);
	make_key(plan, source, &st);
	return plan;
}

static void
close_if_open(int fd)
{
	if (fd != -1)
		close(fd);
}

void
helper_plan_free(struct helper_plan **planp)
{
	struct arena *arena = (*planp)->arena;

	close_if_open((*planp)->executable);
	close_if_open((*planp)->mailbox);
	close_if_open((*planp)->file);
	close_if_open((*planp)->fresh);
	*planp = NULL;
	arena_free(&arena);
}

/* --- the process --- */

static _Noreturn void
give_up(const struct helper_plan *plan, const char *call)
{
	log_say(LOG_EMERG, "%s failed for %s %s", call, plan->program, log_errno(errno));
	_exit(EXIT_FAILURE);
}

/* A copy that is out of the way of the numbers that the helper expects. */
static int
move_up(const struct helper_plan *plan, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, IPC_HELPER_MAILBOX + 1);

	if (copy == -1)
		give_up(plan, "fcntl()");
	return copy;
}

/* Whatever a library or a sanitizer writes there belongs into the log, not on the terminal of the start command. */
static void
take_stderr(const struct helper_plan *plan)
{
	int fd = -1;

	for (size_t i = 0; i < plan->log_count && fd == -1; i++)
		if (plan->logs[i].path != NULL)
			fd = logfile_open(plan->logs[i].path);
	if (fd != -1)
		dup2(fd, STDERR_FILENO);
}

/* Becomes the plan's user; one that is root loses what the stacks of PAM have no use for. */
static void
change_user(const struct helper_plan *plan)
{
	if (geteuid() != 0)
		return;
	if (proc_become(plan->user, plan->uid, plan->gid, 0) == -1)
		give_up(plan, "giving up root");
	if (plan->uid == 0 && capability_keep(KEPT_BY_ROOT) == -1)
		give_up(plan, "giving up capabilities");
}

_Noreturn void
helper_become(const struct helper_plan *plan, int channel)
{
	int program = move_up(plan, plan->executable);
	int mailbox = move_up(plan, plan->mailbox);
	/* Also the room in which the helper may write its title. */
	char *argv[] = { plan->title, plan->label, NULL };

	channel = move_up(plan, channel);
	if (dup2(channel, IPC_HELPER_CHANNEL) == -1 || dup2(mailbox, IPC_HELPER_MAILBOX) == -1)
		give_up(plan, "dup2()");
	take_stderr(plan);
	proc_default_signals();
	change_user(plan);
	proc_close_others(IPC_HELPER_MAILBOX + 1, &program, 1);
	fexecve(program, argv, plan->environment);
	give_up(plan, "fexecve()");
}

/* --- what it is told --- */

/* A text in a memfd, read from its beginning. Returns the descriptor, or -1 with errno. */
static int
text_fd(const void *text, size_t len)
{
	int fd = memfd_create("postern-setting", MFD_CLOEXEC);

	if (fd == -1)
		return -1;
	if (write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Sends one message and closes `fd`. */
static int
tell(struct place *place, enum ipc_kind kind, unsigned index, int64_t value, int fd)
{
	const struct ipc_message message = { .kind = kind, .index = index, .value = value };
	int result;

	if (fd == -1) {
		log_say(LOG_ALERT, "cannot prepare a message to a helper %s", log_errno(errno));
		return -1;
	}
	result = place_tell(place, &message, fd);
	close(fd);
	return result;
}

static int
tell_text(struct place *place, enum ipc_setting setting, const char *text)
{
	return tell(place, IPC_SETTING, setting, 0, text_fd(text, strlen(text)));
}

static int
tell_log(struct place *place, unsigned index, const struct helper_log *log)
{
	int fd;

	if (log->syslog != NULL)
		return tell(place, IPC_SETTING, IPC_SET_LOG_SYSLOG, log->level + 256 * (int64_t)log->priority,
		    text_fd(log->syslog, log->syslog_len));
	fd = log->path != NULL ? logfile_open(log->path) : -1;
	/* A log that cannot be opened any more is no reason to let nobody in. */
	if (fd == -1)
		return tell(place, IPC_SETTING, IPC_SET_LOG_FILE, log->level + 256 * (int64_t)LOG_TO_STDERR_INDEX,
		    fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
	return tell(place, IPC_SETTING, IPC_SET_LOG_FILE, log->level + 256 * (int64_t)index, fd);
}

/* One log file more, behind those of the plan, that can be taken away as if it were reopened. */
static int
tell_terminal(const struct helper_plan *plan, struct place *place)
{
	return tell(place, IPC_SETTING, IPC_SET_LOG_FILE, LOG_WARN + 256 * (int64_t)plan->log_count,
	    fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
}

void
helper_leave_terminal(const struct helper_plan *plan, struct place *place)
{
	tell(place, IPC_LOGFILE, (unsigned)plan->log_count, 0, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

int
helper_feed(const struct helper_plan *plan, struct place *place, bool fresh)
{
	const struct ipc_message message = {
		.kind = IPC_FEED, .value = fresh ? plan->fresh_number : plan->file_number,
	};

	return place_tell(place, &message, fresh ? plan->fresh : plan->file);
}

int
helper_instruct(const struct helper_plan *plan, struct place *place)
{
	const struct ipc_message start = { .kind = IPC_START, .value = plan->has_file };

	if (tell_text(place, IPC_SET_LABEL, plan->label) == -1 ||
	    tell_text(place, IPC_SET_SOURCE, plan->settings) == -1)
		return -1;
	for (unsigned i = 0; i < plan->log_count; i++)
		if (tell_log(place, i, &plan->logs[i]) == -1)
			return -1;
	if (plan->terminal && tell_terminal(plan, place) == -1)
		return -1;
	return place_tell(place, &start, -1);
}

void
helper_reopen_log(const struct helper_plan *plan, size_t index, struct place *const *places, size_t count)
{
	const struct ipc_message message = { .kind = IPC_LOGFILE, .index = (uint32_t)index };
	int fd = plan->logs[index].path == NULL ? -1 : logfile_open(plan->logs[index].path);

	if (fd == -1)   /* no file; or it cannot be opened, and that has been said of the same file by its generation */
		return;
	for (size_t i = 0; i < count; i++)
		place_tell(places[i], &message, fd);
	close(fd);
}

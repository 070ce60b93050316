#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define SYSLOG_PORT 514
#define TAG_MAX 32
#define DEFAULT_FACILITY 23     /* local7 */

/* RFC 3164 section 4.1.1; the index is the facility's number, "" is none that has a name here. */
static const char *const facilities[] = {
	"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp",
	"ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};
#define FACILITIES (sizeof(facilities) / sizeof(facilities[0]))

/* The classes of debug messages: we have one. */
static const char *const debug_classes[] = {
	"debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream",
};

static bool
is_debug_class(const char *word)
{
	for (size_t i = 0; i < sizeof(debug_classes) / sizeof(debug_classes[0]); i++)
		if (strcmp(word, debug_classes[i]) == 0)
			return true;
	return false;
}

static const char *
wrong_level(struct conf_build *b, const char *what, const char *word)
{
	conf_say(LOG_EMERG, &b->place, "%s log level \"%s\"", what, word);
	return CONF_SAID;
}

/* One level, or any number of debug classes; error if there is none. */
static const char *
read_levels(struct conf_build *b, size_t argc, const char *const *argv, enum log_level *level)
{
	bool any = false, plain = false;

	*level = LOG_ERROR;
	for (size_t i = 0; i < argc; i++) {
		int parsed = log_level_parse(argv[i]);

		if (parsed == -1 && !is_debug_class(argv[i]))
			return wrong_level(b, "invalid", argv[i]);
		if (parsed == -1 && plain)
			return wrong_level(b, "invalid", argv[i]);
		if (parsed != -1 && any)
			return wrong_level(b, "duplicate", argv[i]);
		plain = parsed != -1;
		any = true;
		*level = plain ? (enum log_level)parsed : LOG_DEBUG;
	}
	return NULL;
}

static const char *
set_server_address(struct conf_build *b, struct log_target *target, const char *value)
{
	struct draft_syslog *syslog = arena_alloc(b->arena, sizeof(*syslog));

	syslog->target = target;
	syslog->name = conf_build_name(b, "syslog server", value, value, SYSLOG_PORT);
	if (syslog->name == NULL)
		return CONF_SAID;
	conf_build_resolve(b, syslog->name);
	arena_append(b->arena, &b->draft->syslogs, syslog);
	return NULL;
}

static const char *
unknown(struct conf_build *b, const char *what, const char *value)
{
	conf_say(LOG_EMERG, &b->place, "unknown syslog %s \"%s\"", what, value);
	return CONF_SAID;
}

static const char *
set_facility(struct conf_build *b, struct log_target *target, const char *value)
{
	for (unsigned i = 0; i < FACILITIES; i++) {
		if (strcmp(value, facilities[i]) == 0) {
			target->priority = i * 8;
			return NULL;
		}
	}
	return unknown(b, "facility", value);
}

/* Only an access log has one severity for all its lines; here the level of each line decides. */
static const char *
check_severity(struct conf_build *b, struct log_target *target, const char *value)
{
	(void)target;
	return log_level_parse(value) == -1 ? unknown(b, "severity", value) : NULL;
}

static const char *
set_tag(struct conf_build *b, struct log_target *target, const char *value)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

	if (strlen(value) > TAG_MAX)
		conf_say(LOG_EMERG, &b->place, "syslog tag length exceeds %d", TAG_MAX);
	else if (value[strspn(value, allowed)] != '\0')
		conf_say(LOG_EMERG, &b->place, "syslog \"tag\" only allows alphanumeric characters and underscore");
	else {
		target->tag = arena_strdup(b->arena, value);
		return NULL;
	}
	return CONF_SAID;
}

static const char *
clear_hostname(struct conf_build *b, struct log_target *target, const char *value)
{
	(void)b, (void)value;
	target->hostname = NULL;
	return NULL;
}

static const struct parameter {
	const char *name;               /* with its "=", if it has a value */
	const char *(*set)(struct conf_build *b, struct log_target *target, const char *value);
} parameters[] = {
	{ "server=", set_server_address },
	{ "facility=", set_facility },
	{ "severity=", check_severity },
	{ "tag=", set_tag },
	{ "nohostname", clear_hostname },
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

/* The index of the parameter that `text` gives, PARAMETERS for none; *value points behind its name. */
static size_t
parameter_of(const char *text, const char **value)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		size_t len = strlen(parameters[i].name);

		*value = text + len;
		if (strncmp(text, parameters[i].name, len) == 0 && (text[len - 1] == '=' || **value == '\0'))
			return i;
	}
	return PARAMETERS;
}

static const char *
set_parameter(struct conf_build *b, struct log_target *target, const char *text, bool *seen)
{
	const char *value;
	size_t i = parameter_of(text, &value);

	if (i == PARAMETERS)
		return unknown(b, "parameter", text);
	if (seen[i]) {
		conf_say(LOG_EMERG, &b->place, "duplicate syslog \"%.*s\"", (int)strcspn(text, "="), text);
		return CONF_SAID;
	}
	seen[i] = true;
	return parameters[i].set(b, target, value);
}

static const char *
own_hostname(struct conf_build *b)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) == -1 || name[0] == '\0')
		strcpy(name, "localhost");
	return arena_strdup(b->arena, name);
}

/* "server=A,facility=F,...", what stands behind "syslog:". */
static const char *
set_syslog(struct conf_build *b, struct log_target *target, const char *settings)
{
	bool seen[PARAMETERS] = { false };
	const char *why = NULL;

	target->kind = LOG_TO_SYSLOG;
	target->priority = DEFAULT_FACILITY * 8;
	target->tag = "nginx";
	target->hostname = own_hostname(b);
	for (const char *at = settings; at != NULL && why == NULL;) {
		const char *comma = strchr(at, ',');

		why = set_parameter(b, target,
		    arena_printf(b->arena, "%.*s", comma != NULL ? (int)(comma - at) : (int)strlen(at), at), seen);
		at = comma != NULL ? comma + 1 : NULL;
	}
	if (why == NULL && !seen[0]) {
		conf_say(LOG_EMERG, &b->place, "no syslog server specified");
		return CONF_SAID;
	}
	return why;
}

static const char *
add_target(struct conf_build *b, struct log *log, size_t argc, const char *const *argv)
{
	struct log_target *target = arena_alloc(b->arena, sizeof(*target));
	const char *to = argv[0], *why = NULL;

	*target = (struct log_target){ .fd = -1 };
	if (strncmp(to, "memory:", 7) == 0)
		return "has no \"memory:\" here: name a file";
	if (strncmp(to, "syslog:", 7) == 0) {
		why = set_syslog(b, target, to + 7);
	} else if (to[0] == '\0' || strcmp(to, "stderr") == 0) {
		target->kind = LOG_TO_STDERR;
		target->fd = STDERR_FILENO;
	} else {
		target->kind = LOG_TO_FILE;
		target->file = conf_build_file(b, conf_build_path(b, b->request->prefix, to), false);
	}
	if (why == NULL && (why = read_levels(b, argc - 1, argv + 1, &target->level)) == NULL)
		log_add(log, target);
	return why;
}

static const char *
set_error_log(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct log **log = field;

	(void)d;
	return add_target(b, *log, argc, argv);
}

static const char *
set_server_log(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const struct log **own = field;
	struct log *log = arena_alloc(b->arena, sizeof(*log));
	const char *why;

	(void)d;
	if (*own != NULL)
		*log = **own;
	why = add_target(b, log, argc, argv);
	*own = log;
	return why;
}

static const char *
syslog_text(struct arena *arena, const struct log_target *target)
{
	char server[256];

	return arena_printf(arena, "syslog:server=%s,facility=%s,tag=%s%s",
	    endpoint_format(server, sizeof(server), &target->server), facilities[target->priority / 8 % FACILITIES],
	    target->tag, target->hostname == NULL ? ",nohostname" : "");
}

static void
print_log(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct log *log = *(const struct log *const *)field;
	struct arena *arena = arena_new();

	for (const struct log_target *t = log->targets; t != NULL; t = t->next) {
		const char *to = t->kind == LOG_TO_STDERR ? "stderr" :
		    t->kind == LOG_TO_FILE ? p->conf->files[t->file]->path : syslog_text(arena, t);

		conf_print(p, d->name, to, log_level_name(t->level), NULL);
	}
	arena_free(&arena);
}

/* A server that has the process's log has none of its own to show. */
static void
print_server_log(const struct conf_printer *p, const struct directive *d, const void *field)
{
	if (*(const struct log *const *)field != p->conf->log)
		print_log(p, d, field);
}

const struct conf_type type_error_log = { set_error_log, print_log, sizeof(struct log *), true };
const struct conf_type type_server_log = { set_server_log, print_server_log, sizeof(struct log *), true };

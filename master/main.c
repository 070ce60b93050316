/*
 * main - the command line, and which of its jobs is to be done
 *
 * The only file that sees both the master and the worker.
 */
#include "config.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/tlsctx.h"
#include "master/activation.h"
#include "master/conf_check.h"
#include "master/conf_dump.h"
#include "master/conf_load.h"
#include "master/generation.h"
#include "master/heritage.h"
#include "master/inherited.h"
#include "master/logfile.h"
#include "master/master.h"
#include "master/names.h"
#include "master/options.h"
#include "master/pidfile.h"
#include "master/rehearsal.h"
#include "master/signals.h"
#include "master/tls_build.h"
#include "master/zones.h"
#include "worker/worker.h"

/* What the process was started with. */
struct start {
	char *const *argv;              /* as it was, whatever proc_title() has written over */
	struct inherited *inherited;    /* owned */
	struct heritage *heritage;      /* owned; NULL: no master was before */
};

static const char help[] =
    "Usage: postern [-?hvVtTDq] [-s signal] [-p prefix] [-e filename] [-c filename] [-g directives]\n"
    "\n"
    "Options:\n"
    "  -?,-h         : this help\n"
    "  -v            : show version and exit\n"
    "  -V            : show version and configure options then exit\n"
    "  -t            : test configuration and exit\n"
    "  -T            : test configuration, dump it and exit\n"
    "  -D            : test configuration, print what is in force, defaults included, and exit\n"
    "  -q            : suppress non-error messages during configuration testing\n"
    "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
    "  -p prefix     : set prefix path (default: " POSTERN_PREFIX ")\n"
    "  -e filename   : set error log file (default: " POSTERN_ERROR_LOG_PATH ")\n"
    "  -c filename   : set configuration file (default: " POSTERN_CONF_PATH ")\n"
    "  -g directives : set global directives out of configuration file\n"
    "\n";

/* In a new worker. */
static void
run_worker(const struct generation_birth *birth)
{
	const struct worker_birth worker = {
		.conf = birth->conf,
		.board = birth->board,
		.slot = birth->slot,
		.index = birth->index,
		.channel = birth->channel,
		.bell = birth->bell,
		.zones = birth->zones,
		.zone_count = birth->zone_count,
	};

	worker_run(&worker);
}

static void
show_version(const struct options *options)
{
	fputs("postern version: " PACKAGE_NAME "/" PACKAGE_VERSION "\n", stderr);
	if (options->help)
		fputs(help, stderr);
	if (options->build)
		fprintf(stderr, "built with %s\nconfigure arguments:%s\n", OpenSSL_version(OPENSSL_VERSION),
		    POSTERN_CONFIGURE_ARGUMENTS);
}

static char *
full_path(const char *prefix, const char *path)
{
	size_t len = strlen(prefix);

	return *path == '/' ? mem_strdup(path) :
	    mem_printf("%s%s%s", prefix, len > 0 && prefix[len - 1] == '/' ? "" : "/", path);
}

/* Where we are lends a relative prefix its beginning. NULL with the reason said. */
static char *
full_prefix(const char *prefix)
{
	char *here, *path;

	if (*prefix == '/')
		return mem_strdup(prefix);
	if ((here = getcwd(NULL, 0)) == NULL) {
		log_say(LOG_EMERG, "getcwd() failed %s", log_errno(errno));
		return NULL;
	}
	path = full_path(here, prefix);
	free(here);
	return path;
}

/* The log named by -e, in use until that of the configuration is known. Without it stderr is. */
static void
use_early_log(const struct options *options, const char *prefix)
{
	static struct log_target file = { .kind = LOG_TO_FILE, .level = LOG_NOTICE };
	static struct log_target terminal = { .kind = LOG_TO_TERMINAL, .level = LOG_WARN };
	static struct log early;
	char *path;

	if (options->error_log == NULL || strcmp(options->error_log, "stderr") == 0)
		return;
	path = full_path(prefix, options->error_log);
	file.fd = logfile_open(path);
	if (file.fd == -1) {
		log_say(LOG_ALERT, "could not open error log file: open() \"%s\" failed %s", path, log_errno(errno));
	} else {
		log_add(&early, &terminal);
		log_add(&early, &file);
		log_use(&early);
	}
	mem_free(path);
}

/* Loads, resolves and checks. NULL with the reason logged. */
static struct conf *
load(const struct conf_request *request)
{
	struct conf *conf = conf_load(request);

	if (conf != NULL && (names_resolve(conf) == -1 || conf_check(conf, request) == -1))
		conf_free(&conf);
	return conf;
}

/* -s: what is said is no log line of a master. */
static int
send_signal(const struct conf_request *request, const char *word)
{
	struct conf *conf = conf_load(request);
	int number = signals_by_word(word), status = EXIT_FAILURE;
	pid_t pid;

	if (conf == NULL)
		return EXIT_FAILURE;
	if (pidfile_read(conf->pid_path, &pid) == 0) {
		if (kill(pid, number) == 0)
			status = EXIT_SUCCESS;
		else
			log_say(LOG_ALERT, "kill(%ld, %d) failed %s", (long)pid, number, log_errno(errno));
	}
	conf_free(&conf);
	return status;
}

static int
try_tls(struct conf *conf)
{
	struct tlspool *pool = tlspool_new();
	int result = tls_build(pool, conf);

	tls_release(conf);
	tlspool_free(&pool);
	return result;
}

static int
try_zones(struct conf *conf)
{
	struct zones *zones = zones_new();
	int result = zones_use(zones, conf);

	zones_leave(zones, conf);
	zones_free(&zones);
	return result;
}

/* Opens what a start would open, but binds nothing, and tries the helpers. Returns 0, or -1 with the reason logged. */
static int
try_files(struct conf *conf)
{
	int result;

	if (logfile_open_all(conf) == -1)
		return -1;
	result = try_tls(conf);
	if (result == 0)
		result = try_zones(conf);
	if (result == 0)
		result = rehearsal(conf);
	logfile_close_all(conf);
	return result;
}

/* -t, -T, -D */
static int
test(const struct conf_request *request, const struct options *options)
{
	struct conf *conf = load(request);
	bool good = conf != NULL;

	if (good && !options->quiet)
		fprintf(stderr, "postern: the configuration file %s syntax is ok\n", request->path);
	good = good && try_files(conf) == 0;
	if (!good)
		fprintf(stderr, "postern: configuration file %s test failed\n", request->path);
	else if (!options->quiet)
		fprintf(stderr, "postern: configuration file %s test is successful\n", request->path);
	if (good && options->dump_files)
		conf_print_files(stdout, conf);
	if (good && options->dump_conf)
		conf_dump(stdout, conf);
	if (conf != NULL)
		conf_free(&conf);
	return good && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* "master process /usr/sbin/postern -c ...", while argv is still what it was. */
static char *
make_title(char *const *argv)
{
	char *title = mem_strdup("master process");

	for (; *argv != NULL; argv++) {
		char *longer = mem_printf("%s %s", title, *argv);

		mem_free(title);
		title = longer;
	}
	return title;
}

static int
serve(struct conf_request *request, struct start *start)
{
	struct master_order order = { .conf = load(request), .request = request, .run = run_worker };
	char *program;
	int status;

	if (order.conf == NULL)
		return EXIT_FAILURE;
	order.inherited = start->inherited;
	order.heritage = start->heritage;
	start->inherited = NULL;
	start->heritage = NULL;
	order.program = program = proc_program(start->argv[0]);
	order.argv = start->argv;
	order.title = make_title(start->argv);
	status = master_run(&order);
	mem_free(order.title);
	mem_free(program);
	return status;
}

static int
obey(const struct options *options, struct conf_request *request, struct start *start)
{
	use_early_log(options, request->prefix);
	if (options->signal != NULL)
		return send_signal(request, options->signal);
	return options->test ? test(request, options) : serve(request, start);
}

static int
run(const struct options *options, struct start *start)
{
	char *prefix = full_prefix(options->prefix != NULL ? options->prefix : POSTERN_PREFIX), *path;
	struct conf_request request = {
		.prefix = prefix,
		.directives = options->directives,
		.error_log = options->error_log,
		.test = options->test,
		.keep_texts = options->dump_files,
		.generation = 1,
	};
	int status;

	if (prefix == NULL)
		return EXIT_FAILURE;
	request.path = path = full_path(prefix, options->conf_path != NULL ? options->conf_path : POSTERN_CONF_PATH);
	status = obey(options, &request, start);
	mem_free(path);
	mem_free(prefix);
	return status;
}

/* The options stay in use when proc_title() has written over the arguments. */
static char **
copy_arguments(int argc, char *const *argv)
{
	char **copy = mem_array((size_t)argc + 1, sizeof(*copy));

	for (int i = 0; i < argc; i++)
		copy[i] = mem_strdup(argv[i]);
	return copy;
}

static void
free_arguments(char **argv)
{
	for (char **argument = argv; *argument != NULL; argument++)
		mem_free(*argument);
	mem_free(argv);
}

/* What the arguments ask for. */
static int
read_and_run(int argc, struct start *start)
{
	struct options options;
	char why[512];

	if (options_parse(&options, argc, start->argv, why, sizeof(why)) == -1) {
		fprintf(stderr, "postern: %s\n", why);
		return EXIT_FAILURE;
	}
	if (options.help || options.version || options.build) {
		show_version(&options);
		if (!options.test)
			return EXIT_SUCCESS;
	}
	return run(&options, start);
}

/* The sockets that the master before has left. */
static void
add_left_sockets(struct inherited *inherited, const struct heritage *heritage)
{
	for (size_t i = 0; i < heritage->socket_count; i++) {
		const struct heritage_socket *socket = &heritage->sockets[i];
		const char *why = inherited_add(inherited, socket->fd, socket->lent);

		if (why != NULL)
			log_say(LOG_WARN, "descriptor %d of the master before %s, closed", socket->fd, why);
	}
}

/* What others forgot to close is none of ours to keep open, or to hand on. */
static void
take_descriptors(struct start *start)
{
	struct proc_keep keep = { 0 };

	/* It closes what is named as its table, and nothing after that may be taken for what it was. */
	start->heritage = heritage_take();
	start->inherited = inherited_new();
	activation_take(start->inherited);
	if (start->heritage != NULL)
		add_left_sockets(start->inherited, start->heritage);
	keep.fds = inherited_fds(start->inherited, &keep.count);
	if (start->heritage != NULL)
		heritage_each_own_fd(start->heritage, proc_keep_add, &keep);
	proc_keep_only(STDERR_FILENO + 1, &keep);
}

int
main(int argc, char **argv)
{
	struct start start;
	char **copy;
	int status;

	proc_init(argc, argv);
	if (proc_hold_standard() == -1)
		return EXIT_FAILURE;
	take_descriptors(&start);
	/* What we create has the mode we give it and is never writable for others. */
	umask(022);
	start.argv = copy = copy_arguments(argc, argv);
	status = read_and_run(argc, &start);
	inherited_free(&start.inherited);
	heritage_free(&start.heritage);
	free_arguments(copy);
	return status;
}

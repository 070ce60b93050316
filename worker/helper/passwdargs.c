#include "worker/helper/passwdargs.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"

const char passwdargs_help[] =
    "usage: postern-passwd [options] FILE COMMAND [USER]\n"
    "\n"
    "  list                     the users, their schemes and keys; no password\n"
    "  add USER                 a new user, whose password is asked for\n"
    "  passwd USER              another password\n"
    "  set USER                 other keys, the password stays\n"
    "  delete USER\n"
    "  lock USER                no password fits until\n"
    "  unlock USER              the old one does again\n"
    "  verify USER              does the password that is asked for fit?\n"
    "\n"
    "  -s, --scheme SCHEME      how it is stored; without it the best that the system has\n"
    "  -r, --rounds N           what the scheme costs\n"
    "  -k, --set KEY[=VALUE]    host, port, user, allow_nets, protocols, nologin, reason, ssl, starttls;\n"
    "                           \"pass\", the password for the backend, has no value here: it is asked for\n"
    "  -u, --unset KEY\n"
    "  -i, --stdin              a password is a line of standard input\n"
    "  -c, --create             the file is made if there is none\n"
    "  -h, --help\n"
    "  -V, --version\n";

static const struct passwdargs_command commands[] = {
	{ "list",   PASSWDARGS_LISTS,    PASSWDEDIT_CHANGE, false, false, false },
	{ "verify", PASSWDARGS_VERIFIES, PASSWDEDIT_CHANGE, true,  false, false },
	{ "add",    PASSWDARGS_EDITS,    PASSWDEDIT_ADD,    true,  true,  false },
	{ "passwd", PASSWDARGS_EDITS,    PASSWDEDIT_CHANGE, true,  true,  false },
	{ "set",    PASSWDARGS_EDITS,    PASSWDEDIT_CHANGE, false, true,  true },
	{ "delete", PASSWDARGS_EDITS,    PASSWDEDIT_DELETE, false, false, false },
	{ "lock",   PASSWDARGS_EDITS,    PASSWDEDIT_LOCK,   false, false, false },
	{ "unlock", PASSWDARGS_EDITS,    PASSWDEDIT_UNLOCK, false, false, false },
};

static const struct passwdargs_command help = { .name = "--help", .does = PASSWDARGS_HELPS };
static const struct passwdargs_command version = { .name = "--version", .does = PASSWDARGS_SAYS_VERSION };

static const struct passwdargs_command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Splits `text` at its equals sign. */
static char *
add_key(struct passwdargs *args, char *text, bool stays)
{
	struct passwdedit_key *key = &args->keys[args->key_count++];
	char *equals = stays ? strchr(text, '=') : NULL;

	if (equals != NULL)
		*equals = '\0';
	*key = (struct passwdedit_key){ text, !stays ? NULL : equals != NULL ? equals + 1 : "" };
	if (strcmp(text, "pass") != 0 || !stays)
		return NULL;
	if (equals != NULL)
		return mem_strdup("no password may stand in a command line: \"--set pass\" asks for it");
	args->pass = key;
	return NULL;
}

static char *
take_option(struct passwdargs *args, int option, char *value)
{
	switch (option) {
	case 's':
		args->scheme = value;
		return NULL;
	case 'r':
		if (num_parse(value, INT_MAX, &args->rounds) == -1 || args->rounds == 0)
			return mem_printf("\"%s\" is no number of rounds", value);
		return NULL;
	case 'k':
	case 'u':
		return add_key(args, value, option == 'k');
	case 'i':
		args->from_stdin = true;
		return NULL;
	case 'c':
		args->creates = true;
		return NULL;
	case 'h':
		args->command = &help;
		return NULL;
	case 'V':
		args->command = &version;
		return NULL;
	default:
		return mem_strdup("unknown option, or one without its value");
	}
}

/* FILE COMMAND [USER] */
static char *
take_words(struct passwdargs *args, int count, char **words)
{
	bool lists;

	if (count < 2)
		return mem_strdup("a file and a command are needed");
	args->file = words[0];
	args->command = find_command(words[1]);
	if (args->command == NULL)
		return mem_printf("there is no command \"%s\"", words[1]);
	lists = args->command->does == PASSWDARGS_LISTS;
	if (count > (lists ? 2 : 3))
		return mem_printf("\"%s\" takes no more than that", args->command->name);
	if (!lists && count < 3)
		return mem_printf("\"%s\" needs a user", args->command->name);
	args->user = lists ? NULL : words[2];
	return NULL;
}

/* Options that the command has no use for are somebody's mistake. */
static char *
judge(const struct passwdargs *args)
{
	const struct passwdargs_command *command = args->command;
	bool stores = command->asks && command->does == PASSWDARGS_EDITS;

	if (args->key_count > 0 && !command->takes_keys)
		return mem_printf("\"%s\" changes no keys", command->name);
	if (args->key_count == 0 && command->needs_keys)
		return mem_printf("\"%s\" needs --set or --unset", command->name);
	if ((args->scheme != NULL || args->rounds != 0) && !stores)
		return mem_printf("\"%s\" stores no password", command->name);
	if (args->creates && command->verb != PASSWDEDIT_ADD)
		return mem_strdup("--create goes with \"add\" alone");
	return NULL;
}

char *
passwdargs_parse(struct passwdargs *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "scheme", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
		{ "set", required_argument, NULL, 'k' }, { "unset", required_argument, NULL, 'u' },
		{ "stdin", no_argument, NULL, 'i' }, { "create", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char *why = NULL;
	int option;

	*args = (struct passwdargs){ .keys = mem_array((size_t)argc + 1, sizeof(*args->keys)) };
	opterr = 0;
	optind = 0;     /* glibc: begin anew */
	while (why == NULL && (option = getopt_long(argc, argv, "s:r:k:u:ichV", options, NULL)) != -1)
		why = take_option(args, option, optarg);
	if (why != NULL || args->command != NULL)
		return why;
	why = take_words(args, argc - optind, argv + optind);
	return why != NULL ? why : judge(args);
}

void
passwdargs_reset(struct passwdargs *args)
{
	mem_free(args->keys);
	args->keys = NULL;
}

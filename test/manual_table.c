/*
 * manual_table - what the program knows, for comparison with its manuals
 *
 * Prints a line each, its fields ended by tabs: directives with contexts and default,
 * options with what their value is called, signals with their word and whether they do
 * something. With a file's name: what a helper of auth_file finds wrong with that file.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/proc.h"
#include "master/conf_table.h"
#include "master/options.h"
#include "master/signals.h"
#include "worker/helper/passwdfile.h"

#define FILE_MAX 65536

static const struct {
	enum conf_block block;
	const char *name;
} blocks[] = {
	{ IN_MAIN, "main" }, { IN_EVENTS, "events" }, { IN_MAIL, "mail" }, { IN_SERVER, "server" },
	{ IN_UPSTREAM, "upstream" }
};

static void
print_directives(void)
{
	for (const struct directive *d = directives; d->name != NULL; d++) {
		printf("directive\t%s\t", d->name);
		for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
			if ((d->blocks & blocks[i].block) != 0)
				printf("%s ", blocks[i].name);
		printf("\t%s\t\n", d->fallback != NULL ? d->fallback : "");
	}
}

/* An option that wants a value says what it is called when there is none. */
static void
print_option(char letter)
{
	static const char wants[] = " requires ";
	char name[] = "postern", word[] = { '-', letter, '\0' }, *argv[] = { name, word, NULL }, why[128] = "";
	const char *value = NULL;
	struct options options;

	if (options_parse(&options, 2, argv, why, sizeof(why)) == -1 && (value = strstr(why, wants)) == NULL)
		return;
	printf("option\t%c\t%s\t\n", letter, value != NULL ? value + strlen(wants) : "");
}

static void
print_signals(void)
{
	for (int signal = 1; signal < NSIG; signal++) {
		const struct signals_row *row = signals_find(signal);

		if (row != NULL)
			printf("signal\tSIG%s\t%s\t%s\t\n", proc_signal_name(signal),
			    row->word != NULL ? row->word : "", row->action != SIGNALS_IGNORE ? "acts" : "");
	}
}

static int
judge_users(const char *path)
{
	FILE *file = fopen(path, "r");
	struct passwdfile *table;
	const char *why;
	unsigned line;
	char *text;

	if (file == NULL) {
		perror(path);
		return EXIT_FAILURE;
	}
	text = mem_alloc(FILE_MAX);
	why = passwdfile_new(&table, text, fread(text, 1, FILE_MAX, file), &line);
	fclose(file);
	passwdfile_free(&table);
	mem_free(text);
	if (why != NULL)
		printf("%s in line %u\n", why, line);
	return why == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return judge_users(argv[1]);
	print_directives();
	for (char letter = '!'; letter <= '~'; letter++)
		print_option(letter);
	print_signals();
	return 0;
}

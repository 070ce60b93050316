#include "master/conf_print.h"

#include <stdarg.h>
#include <string.h>

static void
begin(const struct conf_printer *p, const char *name)
{
	fprintf(p->out, "%*s%s", (int)(4 * p->depth), "", name);
}

/* The characters that a bare word cannot hold; a backslash pair would be resolved in quotes too. */
static void
put_word(FILE *out, const char *word)
{
	fputc(' ', out);
	if (word[0] != '\0' && strpbrk(word, " \t\r\n;{}\"'\\#$") == NULL) {
		fputs(word, out);
		return;
	}
	fputc('"', out);
	for (; *word != '\0'; word++) {
		static const char meant[] = "\"\\\t\r\n", typed[] = "\"\\trn";
		const char *escape = strchr(meant, *word);

		if (escape != NULL)
			fputc('\\', out);
		fputc(escape != NULL ? typed[escape - meant] : *word, out);
	}
	fputc('"', out);
}

void
conf_print(const struct conf_printer *p, const char *name, ...)
{
	const char *word;
	va_list args;

	begin(p, name);
	va_start(args, name);
	while ((word = va_arg(args, const char *)) != NULL)
		put_word(p->out, word);
	va_end(args);
	fputs(";\n", p->out);
}

void
conf_print_list(const struct conf_printer *p, const char *name, const char *const *words)
{
	begin(p, name);
	for (; *words != NULL; words++)
		put_word(p->out, *words);
	fputs(";\n", p->out);
}

void
conf_print_plain(const struct conf_printer *p, const char *name, const char *format, ...)
{
	va_list args;

	begin(p, name);
	fputc(' ', p->out);
	va_start(args, format);
	vfprintf(p->out, format, args);
	va_end(args);
	fputs(";\n", p->out);
}

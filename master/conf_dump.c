#include "master/conf_dump.h"

#include "common/conf.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

static void
print_rows(const struct conf_printer *p, unsigned block, const void *target)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if ((d->blocks & block) != 0 && d->type != NULL)
			d->type->print(p, d, (const char *)target + d->offset);
}

/* What no server inherits is made here once. */
static void
print_mail_only(const struct conf_printer *p)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if (d->blocks == IN_MAIL && d->type != NULL)
			d->type->print(p, d, NULL);
}

static void
print_mail(FILE *out, const struct conf *conf)
{
	const struct conf_printer p = { out, conf, 2 };

	fputs("mail {\n", out);
	print_mail_only(&(struct conf_printer){ out, conf, 1 });
	for (struct draft_upstream **u = conf->draft->upstreams; u != NULL && *u != NULL; u++) {
		fprintf(out, "    upstream %s {\n", (*u)->name);
		print_rows(&p, IN_UPSTREAM, *u);
		fputs("    }\n", out);
	}
	for (size_t i = 0; i < conf->server_count; i++) {
		fputs("    server {\n", out);
		print_rows(&p, IN_SERVER, conf->servers[i]);
		fputs("    }\n", out);
	}
	fputs("}\n", out);
}

void
conf_dump(FILE *out, const struct conf *conf)
{
	print_rows(&(struct conf_printer){ out, conf, 0 }, IN_MAIN, conf);
	fputs("events {\n", out);
	print_rows(&(struct conf_printer){ out, conf, 1 }, IN_EVENTS, conf);
	fputs("}\n", out);
	if (conf->draft->has_mail)
		print_mail(out, conf);
}

void
conf_print_files(FILE *out, const struct conf *conf)
{
	for (struct conf_text **text = conf->texts; text != NULL && *text != NULL; text++) {
		fprintf(out, "# configuration file %s:\n", (*text)->path);
		fwrite((*text)->bytes, 1, (*text)->len, out);
		fputc('\n', out);
	}
}

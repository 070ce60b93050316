#include "test/unit/confbox.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/mem.h"
#include "master/conf_check.h"
#include "master/conf_dump.h"

void
confbox_open(struct confbox *box)
{
	*box = (struct confbox){ .folder = "/tmp/postern-conf-XXXXXX" };
	ck_assert_ptr_nonnull(mkdtemp(box->folder));
	box->main_path = mem_printf("%s/n.conf", box->folder);
	box->said = mem_strdup("");
	box->log_fd = memfd_create("log", MFD_CLOEXEC);
	box->target = (struct log_target){ .kind = LOG_TO_FILE, .level = LOG_DEBUG, .fd = box->log_fd };
	box->request = (struct conf_request){ .path = box->main_path, .prefix = box->folder, .generation = 1 };
	log_add(&box->log, &box->target);
	log_use(&box->log);
}

static int
drop(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

void
confbox_close(struct confbox *box)
{
	log_use(NULL);
	close(box->log_fd);
	nftw(box->folder, drop, 8, FTW_DEPTH | FTW_PHYS);
	mem_free(box->said);
	mem_free(box->main_path);
}

void
confbox_write(struct confbox *box, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", box->folder, name);
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
	fclose(file);
	mem_free(path);
}

/* Copies a line of the log without its time, process and folder names. */
static void
keep_line(FILE *out, const char *line, const char *folder)
{
	const char *level = strchr(line, '['), *text = strstr(line, ": ");
	size_t len = strlen(folder);

	ck_assert(level != NULL && text != NULL);
	fprintf(out, "%.*s ", (int)strcspn(level, " "), level);
	for (text += 2; *text != '\0'; text++) {
		if (strncmp(text, folder, len) == 0 && text[len] == '/')
			text += len;
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

static void
keep_said(struct confbox *box)
{
	size_t size;
	FILE *out = open_memstream(&box->said, &size), *in = fdopen(dup(box->log_fd), "r");
	char line[LOG_LINE_MAX + 1];

	rewind(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		keep_line(out, line, box->folder);
	}
	fclose(in);
	fclose(out);
}

static void
forget_said(struct confbox *box)
{
	ck_assert_int_eq(ftruncate(box->log_fd, 0), 0);
	lseek(box->log_fd, 0, SEEK_SET);
	mem_free(box->said);
	box->said = NULL;
}

struct conf *
confbox_load(struct confbox *box, const char *text)
{
	struct conf *conf;

	forget_said(box);
	confbox_write(box, "n.conf", text);
	conf = conf_load(&box->request);
	keep_said(box);
	return conf;
}

static const struct {
	const char *name;
	const char *found[4];
} hosts[] = {
	{ "localhost", { "127.0.0.1" } },
	{ "two.test", { "127.0.0.1", "127.0.0.2", "127.0.0.1" } },
	{ "six.test", { "::1", "127.0.0.1" } },
};

static void
resolve(struct conf *conf)
{
	for (size_t i = 0; i < conf->name_count; i++) {
		struct conf_name *name = conf->names[i];

		name->found = arena_alloc(conf->arena, 4 * sizeof(*name->found));
		for (size_t h = 0; h < sizeof(hosts) / sizeof(hosts[0]); h++) {
			const char *const *found = hosts[h].found;

			for (; strcmp(name->host, hosts[h].name) == 0 && *found != NULL; found++) {
				struct addr *addr = &name->found[name->found_count++].addr;

				ck_assert_int_eq(addr_parse(addr, *found, strlen(*found)), 0);
				addr->port = (uint16_t)name->port;
			}
		}
	}
}

struct conf *
confbox_check(struct confbox *box, const char *text)
{
	struct conf *conf = confbox_load(box, text);

	if (conf == NULL)
		return NULL;
	resolve(conf);
	if (conf_check(conf, &box->request) == -1)
		conf_free(&conf);
	mem_free(box->said);
	keep_said(box);
	return conf;
}

struct conf *
confbox_mail(struct confbox *box, const char *text)
{
	char *whole = mem_printf("events {}\nmail {\n%s\n}\n", text);
	struct conf *conf = confbox_check(box, whole);

	mem_free(whole);
	return conf;
}

void
confbox_refuses(const char *text, const char *why, unsigned line)
{
	struct confbox box;
	struct conf *conf;
	char *expected = mem_printf("[emerg] %s in n.conf:%u\n", why, line);

	confbox_open(&box);
	confbox_write(&box, "users", "");
	conf = confbox_check(&box, text);
	ck_assert_ptr_null(conf);
	ck_assert_str_eq(box.said, expected);
	confbox_close(&box);
	mem_free(expected);
}

char *
confbox_dump(const struct conf *conf)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	conf_dump(out, conf);
	fclose(out);
	return text;
}

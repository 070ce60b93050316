#include "worker/net/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"

struct host {
	char *name;             /* owned */
	size_t order;           /* in the file */
	struct addr addr;
};

struct hosts {
	struct host *all;       /* owned; sorted by name, then order */
	size_t count, size;
};

static void
add(struct hosts *hosts, const struct addr *addr, const char *name)
{
	if (hosts->count == hosts->size) {
		hosts->size = hosts->size == 0 ? 16 : 2 * hosts->size;
		hosts->all = mem_resize(hosts->all, hosts->size * sizeof(hosts->all[0]));
	}
	hosts->all[hosts->count] = (struct host){ mem_strdup(name), hosts->count, *addr };
	hosts->count++;
}

/* "127.0.0.1 localhost loopback # comment" */
static void
read_line(struct hosts *hosts, char *line)
{
	static const char blanks[] = " \t\r\n";
	char *rest, *word;
	struct addr addr;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, blanks, &rest);
	if (word == NULL || addr_parse(&addr, word, strlen(word)) == -1)
		return;
	while ((word = strtok_r(NULL, blanks, &rest)) != NULL)
		add(hosts, &addr, word);
}

static int
by_name_and_order(const void *left, const void *right)
{
	const struct host *a = left, *b = right;
	int order = strcasecmp(a->name, b->name);

	return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

struct hosts *
hosts_read(const char *path)
{
	struct hosts *hosts = mem_alloc(sizeof(*hosts));
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		return hosts;
	while (getline(&line, &size, file) != -1)
		read_line(hosts, line);
	free(line);
	fclose(file);
	if (hosts->count > 0)
		qsort(hosts->all, hosts->count, sizeof(hosts->all[0]), by_name_and_order);
	return hosts;
}

void
hosts_free(struct hosts **hostsp)
{
	struct hosts *hosts = *hostsp;

	if (hosts == NULL)
		return;
	for (size_t i = 0; i < hosts->count; i++)
		mem_free(hosts->all[i].name);
	mem_free(hosts->all);
	mem_free(hosts);
	*hostsp = NULL;
}

/* The first host whose name is not less than `name`. */
static size_t
lower_bound(const struct hosts *hosts, const char *name)
{
	size_t low = 0, high = hosts->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcasecmp(hosts->all[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t
hosts_find(const struct hosts *hosts, const char *name, struct addr *found, size_t max)
{
	size_t first = lower_bound(hosts, name), count = 0;

	while (count < max && first + count < hosts->count &&
	    strcasecmp(hosts->all[first + count].name, name) == 0) {
		found[count] = hosts->all[first + count].addr;
		count++;
	}
	return count;
}

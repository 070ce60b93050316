#include "common/tlskey.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/must.h"

void
tlskey_begin(struct tlskey *key, const char *kind, unsigned long load)
{
	*key = (struct tlskey){ 0 };
	key->stream = open_memstream(&key->bytes, &key->len);
	if (key->stream == NULL)
		must_die("no memory for a key");
	fprintf(key->stream, "%s %lu\n", kind, load);
}

void
tlskey_add(struct tlskey *key, const char *word)
{
	if (word == NULL)
		fputs("-\n", key->stream);
	else
		fprintf(key->stream, "%zu %s\n", strlen(word), word);
}

void
tlskey_add_file(struct tlskey *key, const char *path)
{
	struct stat st;

	tlskey_add(key, path);
	if (path == NULL)
		return;
	if (stat(path, &st) == -1)
		fprintf(key->stream, "? %d\n", errno);
	else
		fprintf(key->stream, "%jx %jx %jx %jd.%ld %jd.%ld\n", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		    (uintmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		    st.st_ctim.tv_nsec);
}

void
tlskey_add_files(struct tlskey *key, const char *const *paths)
{
	for (; paths != NULL && *paths != NULL; paths++)
		tlskey_add_file(key, *paths);
	fputs(".\n", key->stream);
}

void
tlskey_printf(struct tlskey *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(key->stream, format, args);
	va_end(args);
}

char *
tlskey_end(struct tlskey *key)
{
	char *text;

	if (fclose(key->stream) != 0)
		must_die("no memory for a key");
	text = mem_strdup(key->bytes);
	free(key->bytes);
	return text;
}

/*
 * replay - a fuzz target's main() where there is no libFuzzer
 *
 *     fuzz_MODULE [FILE|FOLDER ...]
 *
 * Runs every file through the target; without arguments those of $srcdir/test/fuzz/
 * corpus/MODULE. A broken promise aborts, and the last file named is the culprit.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "test/fuzz/fuzz.h"

static unsigned count;

static bool
fail(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return false;
}

static bool
replay_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;

	if (file == NULL)
		return fail(path);
	bytes = mem_alloc(size);
	if (fread(bytes, 1, size, file) != size) {
		fclose(file);
		mem_free(bytes);
		return fail(path);
	}
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(bytes, size);
	mem_free(bytes);
	count++;
	return true;
}

static bool replay(const char *path);

static bool
replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool fine = true;

	if (folder == NULL)
		return fail(path);
	while (fine && (entry = readdir(folder)) != NULL) {
		char *inside;

		if (entry->d_name[0] == '.')
			continue;
		inside = mem_printf("%s/%s", path, entry->d_name);
		fine = replay(inside);
		mem_free(inside);
	}
	closedir(folder);
	return fine;
}

static bool
replay(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return fail(path);
	return S_ISDIR(st.st_mode) ? replay_folder(path) : replay_file(path, (size_t)st.st_size);
}

static bool
replay_own(const char *program)
{
	const char *source = getenv("srcdir"), *slash = strrchr(program, '/');
	const char *name = slash != NULL ? slash + 1 : program;
	const char *module = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
	char *path = mem_printf("%s/test/fuzz/corpus/%s", source != NULL ? source : ".", module);
	bool fine = replay(path);

	mem_free(path);
	return fine;
}

int
main(int argc, char **argv)
{
	bool fine = argc > 1 || replay_own(argv[0]);

	for (int i = 1; fine && i < argc; i++)
		fine = replay(argv[i]);
	printf("%u inputs\n", count);
	return fine && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

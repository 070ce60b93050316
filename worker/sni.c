#include "worker/sni.h"

#include <string.h>

/* How well the pattern fits: 0 not at all, SIZE_MAX exactly, else the length of the "*.domain". */
static size_t
fit(const char *pattern, const char *name)
{
	size_t len = strlen(name), suffix;

	if (strcmp(pattern, name) == 0)
		return SIZE_MAX;
	if (strncmp(pattern, "*.", 2) != 0)
		return 0;
	suffix = strlen(pattern + 1);
	/* At least one character stands for the star. */
	return len > suffix && name[0] != '.' && strcmp(name + len - suffix, pattern + 1) == 0 ? suffix : 0;
}

const struct server *
sni_choose(const struct conf_listen *listen, const char *name)
{
	const struct server *best = listen->server;
	size_t best_fit = 0;

	if (name == NULL || listen->servers == NULL)
		return best;
	for (struct server **server = listen->servers; *server != NULL; server++) {
		for (const char **pattern = (*server)->names; pattern != NULL && *pattern != NULL; pattern++) {
			size_t fits = fit(*pattern, name);

			if (fits > best_fit) {
				best = *server;
				best_fit = fits;
			}
		}
	}
	return best;
}

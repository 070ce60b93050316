#include "common/tlsfile.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/stat.h>

BIO *
tlsfile_open(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		ERR_raise_data(ERR_LIB_SYS, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "not a regular file");
		return NULL;
	}
	return BIO_new_file(path, "rb");
}

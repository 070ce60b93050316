#include "test/unit/capture.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "test/unit/unit.h"

static struct log_target target = { .kind = LOG_TO_FILE, .level = LOG_DEBUG, .fd = -1 };
static struct log log_of_test;

void
capture_begin(void)
{
	target.fd = memfd_create("capture", MFD_CLOEXEC);
	ck_assert_int_ne(target.fd, -1);
	log_of_test = (struct log){ 0 };
	log_add(&log_of_test, &target);
	log_use(&log_of_test);
}

const char *
capture_text(void)
{
	static char text[65536];
	ssize_t len = pread(target.fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	return text;
}

void
capture_end(void)
{
	log_use(NULL);
	close(target.fd);
	target.fd = -1;
}

#include "worker/helper/passwdask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/helper/secret.h"

/* Those that end or stop a program at its terminal. */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static volatile sig_atomic_t caught;

static void
on_signal(int number)
{
	caught = number;
}

/* One line, its end taken off. Reads no further, for the next one to ask. */
static const char *
read_line(int fd, char line[SECRET_MAX + 1])
{
	size_t len = 0;
	ssize_t got;
	char c = '\0';

	while ((got = read(fd, &c, 1)) == 1 && c != '\n') {
		if (c == '\0')
			return "NUL in the password";
		if (len == SECRET_MAX)
			return "password too long";
		line[len++] = c;
	}
	if (got == -1)
		return errno == EINTR ? "interrupted" : "the password cannot be read";
	if (got == 0 && len == 0)
		return "no password was given";
	line[len] = '\0';
	return NULL;
}

/* Without echo, if it is a terminal, which then is as it was before. */
static const char *
read_unseen(int fd, char line[SECRET_MAX + 1])
{
	struct sigaction catch = { .sa_handler = on_signal }, old[SIGNALS];
	struct termios seen, unseen;
	bool is_terminal = tcgetattr(fd, &seen) == 0;
	const char *why;

	caught = 0;
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &catch, &old[i]);
	if (is_terminal) {
		unseen = seen;
		unseen.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
		tcsetattr(fd, TCSAFLUSH, &unseen);
	}
	why = read_line(fd, line);
	if (is_terminal)
		tcsetattr(fd, TCSAFLUSH, &seen);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	return why;
}

static void
say(int fd, const char *text, const char *behind)
{
	if (isatty(fd))
		dprintf(fd, "%s%s", text, behind);
}

static const char *
ask(int fd, const char *what, const char *behind, char line[SECRET_MAX + 1])
{
	const char *why;

	do {
		say(fd, what, behind);
		why = read_unseen(fd, line);
		say(fd, "\n", "");
		if (caught != 0)
			raise(caught);
	} while (caught == SIGTSTP);    /* stopped, and now it goes on */
	return why;
}

const char *
passwdask(char **secret, const char *what, bool from_stdin, bool twice)
{
	int fd = from_stdin ? STDIN_FILENO : open("/dev/tty", O_RDWR | O_CLOEXEC);
	char first[SECRET_MAX + 1] = "", second[SECRET_MAX + 1] = "";
	const char *why;

	*secret = NULL;
	if (fd == -1)
		return "there is no terminal to ask for the password at; --stdin reads it from standard input";
	why = ask(fd, what, ": ", first);
	if (why == NULL && twice && isatty(fd)) {
		why = ask(fd, what, " again: ", second);
		if (why == NULL && strcmp(first, second) != 0)
			why = "the two are not the same";
	}
	if (why == NULL)
		*secret = mem_strdup(first);
	mem_wipe(first, sizeof(first));
	mem_wipe(second, sizeof(second));
	if (!from_stdin)
		close(fd);
	return why;
}

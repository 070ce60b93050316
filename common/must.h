/*
 * must - what only our own mistake can break
 *
 * MUST() states an invariant of the program. It is never compiled out: a daemon
 * that holds other people's mail ends rather than go on in a state nobody thought
 * of. What a peer, a child, a file or the network can cause is no matter for
 * MUST(); it is handled. Built on: nothing.
 */
#ifndef POSTERN_COMMON_MUST_H
#define POSTERN_COMMON_MUST_H

#define MUST(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))

/* What happens after the message: the process aborts, or stops for a debugger first (debug_points). */
enum must_action { MUST_ABORT, MUST_STOP };

void must_set_action(enum must_action action);

/*
 * Where the last words of this process go besides stderr: `room` bytes that outlive
 * it (its slot on the board), or NULL. The text is cut to fit and NUL-terminated.
 */
void must_set_last_words(char *place, unsigned room);

/* Writes the message to stderr and to the last words, then ends the process by SIGABRT. */
_Noreturn void must_fail(const char *cond, const char *file, int line);

/* The same for a reason that is no condition, such as memory that ran out. */
_Noreturn void must_die(const char *reason);

#endif

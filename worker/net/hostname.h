/*
 * hostname - what came of asking how an address is called
 *
 * The verdict, and the number and words of a failure, which are nginx's.
 * Built on: nothing.
 */
#ifndef POSTERN_WORKER_NET_HOSTNAME_H
#define POSTERN_WORKER_NET_HOSTNAME_H

enum hostname_verdict {
	HOSTNAME_CONFIRMED,     /* it is `name` */
	HOSTNAME_UNKNOWN,       /* no name was found for the address; `code` and `why` */
	HOSTNAME_INVALID,       /* `name` is no name of a host */
	HOSTNAME_LOST,          /* no address was found for `name`; `code` and `why` */
	HOSTNAME_FOREIGN,       /* `name` has other addresses */
};

struct hostname {
	enum hostname_verdict verdict;
	const char *name;       /* NULL where there is none */
	unsigned code;          /* nginx's number of a failure: the name server's own, or an errno */
	const char *why;
};

#define HOSTNAME_BAD_FORMAT 1   /* the server did not understand, or was not understood */
#define HOSTNAME_FAILURE 2
#define HOSTNAME_NOT_FOUND 3    /* the code that is no failure, but a "no" */
#define HOSTNAME_UNIMPLEMENTED 4
#define HOSTNAME_REFUSED 5

/* The words for a code, static; NULL for 0. */
const char *hostname_why(unsigned code);

#endif

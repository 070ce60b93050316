/*
 * master - the process that starts, watches and ends all others
 *
 * It opens everything, forks, and from then on answers to signals and to the deaths of
 * its children. It speaks with no stranger. Built on: everything in master/.
 */
#ifndef POSTERN_MASTER_MASTER_H
#define POSTERN_MASTER_MASTER_H

struct conf;
struct conf_request;
struct generation_birth;
struct heritage;
struct inherited;

struct master_order {
	struct conf *conf;                      /* resolved and checked; taken over */
	struct conf_request *request;           /* how it was loaded, for reloads */
	struct inherited *inherited;            /* sockets that we were started with; taken over */
	struct heritage *heritage;              /* of the master before, without its sockets; taken over; or NULL */
	const char *program;                    /* to start at USR2; NULL: nobody knows */
	char *const *argv;
	char *title;                            /* in ps(1) */
	void (*run)(const struct generation_birth *birth);      /* a worker; does not return */
};

/* Serves until it is told to stop. Returns the exit status of the process. */
int master_run(const struct master_order *order);

#endif

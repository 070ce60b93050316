/*
 * heritage - what one master hands on to the next
 *
 * A table in a sealed memfd, whose descriptor is named by an environment variable, is all
 * that goes over exec in an upgrade: descriptors of listening sockets and of zones, keys of
 * session tickets by value, and how each of the two masters learns that the other one and
 * all its children have gone. Its beginning is the same in every version, so that sockets
 * can be handed on to a binary, and from one, that shares nothing else. Whoever reads it
 * trusts no byte of it. The memory is wiped as soon as it has been read.
 * Built on: bequest, log, mem, memfd, num, proc, tlsticket.
 */
#ifndef POSTERN_MASTER_HERITAGE_H
#define POSTERN_MASTER_HERITAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/tlsticket.h"

#define HERITAGE_SOCKETS_MAX 65536
#define HERITAGE_PATH 1024      /* bytes of the longest path, with its NUL */

struct bequest;

struct heritage_socket {
	int fd;
	bool lent;              /* as in struct conf_listen */
};

struct heritage {
	pid_t parent;           /* the old master */
	/*
	 * All processes of a master that may hold something in a zone have the writing end of a
	 * pipe of theirs: the reading end is at its end when all are gone.
	 */
	int others;             /* the reading end of the old master's pipe */
	int ours[2];            /* both ends of the new master's */
	struct heritage_socket *sockets;        /* owned array */
	size_t socket_count;

	bool whole;             /* the rest is there, too; else it is zero */
	unsigned half;          /* of the slots that the new master gives away */
	bool has_tickets;
	struct tlsticket_keys tickets;
	uint64_t tickets_due_ms;        /* on CLOCK_MONOTONIC: when they are to be rotated */
	char pid_path[HERITAGE_PATH];   /* of the old master's pid file, before it stepped aside; "": too long */
	struct bequest *zones;  /* owned */
};

struct heritage *heritage_new(void);

/* Wipes secrets; closes only zones of heritage_take() that nobody has claimed. NULL is fine; leaves NULL. */
void heritage_free(struct heritage **heritagep);

void heritage_add_socket(struct heritage *heritage, int fd, bool lent);

/* The table as bytes. Returns how many, at most `room`; heritage_size() says what is needed. */
size_t heritage_size(const struct heritage *heritage);
size_t heritage_write(const struct heritage *heritage, void *bytes, size_t room);

/* Reads such a table. NULL if not even its beginning makes sense. No descriptor stands in it twice. */
struct heritage *heritage_read(const void *bytes, size_t len);

/* Calls `visit` with each descriptor in it but those of sockets. */
void heritage_each_own_fd(const struct heritage *heritage, void (*visit)(void *ctx, int fd), void *ctx);

/* Returns the descriptor of a memfd with the table, or -1 with errno. */
int heritage_pack(const struct heritage *heritage);

/* In the child that is to be the next master: lets `fd`, and what it names, pass over exec. Returns 0, or -1. */
int heritage_release(const struct heritage *heritage, int fd);

/*
 * What this process was left by the master before; NULL if it was none, or nothing that
 * makes sense, which is said. Takes the variable out of the environment, wipes and closes the table.
 * All descriptors in it are open and close-on-exec.
 */
struct heritage *heritage_take(void);

#endif

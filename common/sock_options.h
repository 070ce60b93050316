/*
 * sock_options - what a listening socket is to be: nginx's parameters of `listen`
 *
 * Built on: nothing.
 */
#ifndef POSTERN_COMMON_SOCK_OPTIONS_H
#define POSTERN_COMMON_SOCK_OPTIONS_H

#include <stdbool.h>

struct sock_options {
	int backlog;            /* listen(2) */
	int rcvbuf, sndbuf;     /* bytes; 0: the system's */
	bool ipv6only;
	enum { SOCK_KEEPALIVE_SYSTEM, SOCK_KEEPALIVE_ON, SOCK_KEEPALIVE_OFF } keepalive;
	int keepalive_idle_s, keepalive_interval_s, keepalive_count;    /* 0: the system's */
	bool multipath;         /* MPTCP */
	bool port_shared;       /* born so, see sock_share_port() */
	/* UNIX sockets only: */
	unsigned mode;          /* of the file, 0666 unless configured */
	int uid, gid;           /* its owner; -1: leave */
};

#endif

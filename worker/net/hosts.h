/*
 * hosts - the names that the hosts file knows, held in memory
 *
 * Read once, when the worker starts: later it may open no file. The form is that of
 * hosts(5); lines that do not begin with an address are passed over, as everywhere.
 * Built on: addr, mem.
 */
#ifndef POSTERN_WORKER_NET_HOSTS_H
#define POSTERN_WORKER_NET_HOSTS_H

#include <stddef.h>

#include "common/addr.h"

struct hosts;

/* A file that cannot be read is an empty one. */
struct hosts *hosts_read(const char *path);
void hosts_free(struct hosts **hostsp);

/* Puts at most `max` addresses of `name`, in the file's order, into `found` and returns how many. Case is ignored. */
size_t hosts_find(const struct hosts *hosts, const char *name, struct addr *found, size_t max);

#endif

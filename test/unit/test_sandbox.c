#include "config.h"

#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sock.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"

#define CANNOT_ENTER 99

/* Arguments of zero harm nothing should one of them get through. */
static const struct {
	const char *name;
	long number;
} refused[] = {
	{ "openat",             SYS_openat             },
	{ "openat2",            SYS_openat2            },
	{ "open_by_handle_at",  SYS_open_by_handle_at  },
	{ "name_to_handle_at",  SYS_name_to_handle_at  },
	{ "execve",             SYS_execve             },
	{ "execveat",           SYS_execveat           },
	{ "ptrace",             SYS_ptrace             },
	{ "mount",              SYS_mount              },
	{ "umount2",            SYS_umount2            },
	{ "pivot_root",         SYS_pivot_root         },
	{ "chroot",             SYS_chroot             },
	{ "kexec_load",         SYS_kexec_load         },
	{ "kexec_file_load",    SYS_kexec_file_load    },
	{ "init_module",        SYS_init_module        },
	{ "finit_module",       SYS_finit_module       },
	{ "delete_module",      SYS_delete_module      },
	{ "bpf",                SYS_bpf                },
	{ "perf_event_open",    SYS_perf_event_open    },
	{ "process_vm_readv",   SYS_process_vm_readv   },
	{ "process_vm_writev",  SYS_process_vm_writev  },
	{ "pidfd_getfd",        SYS_pidfd_getfd        },
	{ "bind",               SYS_bind               },
	{ "listen",             SYS_listen             },
	{ "unlinkat",           SYS_unlinkat           },
	{ "renameat2",          SYS_renameat2          },
	{ "linkat",             SYS_linkat             },
	{ "symlinkat",          SYS_symlinkat          },
	{ "mkdirat",            SYS_mkdirat            },
	{ "mknodat",            SYS_mknodat            },
	{ "fchmodat",           SYS_fchmodat           },
	{ "fchmodat2",          452                    },
	{ "fchownat",           SYS_fchownat           },
	{ "truncate",           SYS_truncate           },
	{ "setxattr",           SYS_setxattr           },
	{ "io_uring_setup",     SYS_io_uring_setup     },
	{ "userfaultfd",        SYS_userfaultfd        },
	{ "keyctl",             SYS_keyctl             },
	{ "unshare",            SYS_unshare            },
	{ "open_tree",          SYS_open_tree          },
	{ "fsopen",             SYS_fsopen             },
#ifdef __x86_64__
	{ "open",               SYS_open               },
	{ "creat",              SYS_creat              },
	{ "unlink",             SYS_unlink             },
	{ "rename",             SYS_rename             },
	{ "renameat",           SYS_renameat           },
	{ "link",               SYS_link               },
	{ "symlink",            SYS_symlink            },
	{ "mkdir",              SYS_mkdir              },
	{ "rmdir",              SYS_rmdir              },
	{ "mknod",              SYS_mknod              },
	{ "chmod",              SYS_chmod              },
	{ "chown",              SYS_chown              },
	{ "lchown",             SYS_lchown             },
	{ "uselib",             SYS_uselib             },
#endif
};

static int
call(void *number)
{
	if (sandbox_enter(SANDBOX_CLOSED) == -1)
		return CANNOT_ENTER;
	errno = 0;
	return syscall(*(long *)number, 0, 0, 0, 0, 0, 0) == -1 ? errno : 0;
}

START_TEST(a_listed_call_is_refused)
{
	long number = refused[_i].number;

	ck_assert_msg(child_run(call, &number) == EACCES, "%s", refused[_i].name);
}
END_TEST

static int
read_and_write(void *data)
{
	int fd;

	(void)data;
	if (sandbox_enter(SANDBOX_READING) == -1)
		return CANNOT_ENTER;
	if ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1 ||
	    syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY) == -1)
		return 1;
	errno = 0;
	if (open("/dev/null", O_WRONLY) != -1 || errno != EACCES || open("/dev/null", O_RDWR) != -1 || errno != EACCES)
		return 2;
	if (open("/tmp/postern-never-made", O_RDONLY | O_CREAT, 0600) != -1 || errno != EACCES)
		return 3;
	if (execl("/bin/true", "true", (char *)NULL) != -1 || errno != EACCES)
		return 4;
	return read(fd, &fd, 1) == 0 ? 0 : 5;
}

START_TEST(where_reading_is_allowed_nothing_else_is)
{
	ck_assert_int_eq(child_run(read_and_write, NULL), 0);
}
END_TEST

static int
open_in_thread(void *ends)
{
	const int *end = ends;
	char word;

	/* The thread lives before the sandbox and opens after it. */
	if (read(end[0], &word, 1) != 1)
		return CANNOT_ENTER;
	return open("/dev/null", O_RDONLY) == -1 ? errno : 0;
}

static void *
thread(void *ends)
{
	return (void *)(intptr_t)open_in_thread(ends);
}

static int
enter_beside_a_thread(void *data)
{
	int ends[2];
	pthread_t id;
	void *result;

	(void)data;
	if (pipe(ends) == -1 || pthread_create(&id, NULL, thread, ends) != 0 || sandbox_enter(SANDBOX_CLOSED) == -1)
		return CANNOT_ENTER;
	if (write(ends[1], "x", 1) != 1 || pthread_join(id, &result) != 0)
		return CANNOT_ENTER;
	return (int)(intptr_t)result;
}

START_TEST(threads_are_inside_too)
{
	ck_assert_int_eq(child_run(enter_beside_a_thread, NULL), EACCES);
}
END_TEST

static int
serve(void *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client, server;
	char word[4] = "";

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", (const char *)path);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) == -1 || listen(listener, 1) == -1 ||
	    sandbox_enter(SANDBOX_CLOSED) == -1)
		return CANNOT_ENTER;
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	if (client == -1 || connect(client, (struct sockaddr *)&at, sizeof(at)) == -1)
		return 1;
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server == -1 || send(client, "abc", 3, 0) != 3 || recv(server, word, 3, 0) != 3)
		return 2;
	return strcmp(word, "abc") == 0 ? 0 : 3;
}

static int
linger(void *data)
{
	const struct linger on = { 1, 60 };
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (sandbox_enter(*(enum sandbox_level *)data) == -1)
		return CANNOT_ENTER;
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) == -1)
		return 1;
	errno = 0;
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)) == -1 ? errno : 0;
}

/* The master may be sent such a socket, and has to close it. */
START_TEST(no_socket_keeps_who_closes_it)
{
	enum sandbox_level levels[] = { SANDBOX_CLOSED, SANDBOX_BINDING, SANDBOX_READING };

	ck_assert_int_eq(child_run(linger, &levels[_i]), EACCES);
}
END_TEST

static const struct {
	int domain, type;
	bool made;
} sorts[] = {
	{ AF_UNIX,    SOCK_STREAM,                                  true  },
	{ AF_UNIX,    SOCK_DGRAM,                                   true  },
	{ AF_INET,    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,   true  },
	{ AF_INET,    SOCK_DGRAM | SOCK_CLOEXEC,                    true  },
	{ AF_INET6,   SOCK_STREAM,                                  true  },
	{ AF_INET6,   SOCK_DGRAM,                                   true  },
	{ AF_INET,    SOCK_RAW,                                     false },
	{ AF_INET6,   SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,      false },
	{ AF_UNIX,    SOCK_SEQPACKET,                               false },
	{ AF_NETLINK, SOCK_RAW,                                     false },
	{ AF_NETLINK, SOCK_DGRAM,                                   false },
	{ AF_PACKET,  SOCK_DGRAM,                                   false },
	{ AF_ALG,     SOCK_SEQPACKET,                               false },
	{ AF_VSOCK,   SOCK_STREAM,                                  false },
	{ AF_UNSPEC,  SOCK_STREAM,                                  false },
};

static const enum sandbox_level workers[] = { SANDBOX_CLOSED, SANDBOX_BINDING };

static int
make_socket(void *number)
{
	int i = *(int *)number / 2;

	if (sandbox_enter(workers[*(int *)number % 2]) == -1)
		return CANNOT_ENTER;
	errno = 0;
	return socket(sorts[i].domain, sorts[i].type, 0) == -1 ? errno : 0;
}

START_TEST(a_socket_is_of_ip_or_unix_and_never_raw)
{
	int error = child_run(make_socket, &_i);

	/* There may be no IPv6 here. */
	if (error != EAFNOSUPPORT || !sorts[_i / 2].made)
		ck_assert_msg(error == (sorts[_i / 2].made ? 0 : EACCES), "row %d: %d", _i / 2, error);
}
END_TEST

static int
make_any_socket(void *data)
{
	(void)data;
	if (sandbox_enter(SANDBOX_READING) == -1)
		return CANNOT_ENTER;
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) == -1 ? errno : 0;
}

START_TEST(libraries_may_ask_the_kernel_about_its_interfaces)
{
	ck_assert_int_eq(child_run(make_any_socket, NULL), 0);
}
END_TEST

/* Binds as a connection to a backend is, then in every way that would do something else. */
static int
bind_in_all_ways(void *path)
{
	struct sockaddr_storage room = { 0 };
	struct sockaddr_in *ip = (struct sockaddr_in *)&room;
	struct sockaddr_un *un = (struct sockaddr_un *)&room;
	int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2], local = socket(AF_UNIX, SOCK_STREAM, 0);

	ip->sin_family = AF_INET;
	ip->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1 || sandbox_enter(SANDBOX_BINDING) == -1)
		return CANNOT_ENTER;
	if (bind(fd, (struct sockaddr *)&room, sizeof(*ip)) != -1 || errno != EACCES)
		return 1;
	if (bind(fd, (struct sockaddr *)&room, SOCK_BIND_LEN) == -1)
		return 2;
	if (listen(fd, 1) != -1 || errno != EACCES)
		return 3;
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", (const char *)path);
	for (socklen_t len = 0; len <= sizeof(room) + 1; len++) {
		if (bind(local, (struct sockaddr *)&room, len) != -1 ||
		    errno != (len == SOCK_BIND_LEN ? EINVAL : EACCES))
			return 4;
		if (bind(pair[0], (struct sockaddr *)&room, len) != -1)
			return 5;
	}
	un->sun_path[0] = '\0';         /* abstract */
	return bind(local, (struct sockaddr *)&room, SOCK_BIND_LEN) == -1 && errno == EINVAL ? 0 : 6;
}

START_TEST(binding_is_for_ip_and_makes_no_path)
{
	char dir[] = "/tmp/postern-sandbox-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	ck_assert_int_eq(child_run(bind_in_all_ways, path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(sockets_work_on_and_paths_can_be_connected_to)
{
	char dir[] = "/tmp/postern-sandbox-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	ck_assert_int_eq(child_run(serve, path), 0);
	unlink(path);
	rmdir(dir);
}
END_TEST

static int
has_no_new_privileges(void *data)
{
	(void)data;
	return sandbox_enter(SANDBOX_CLOSED) == -1 ? CANNOT_ENTER : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

START_TEST(no_program_could_give_privileges_back)
{
	ck_assert_int_eq(child_run(has_no_new_privileges, NULL), 1);
}
END_TEST

#ifdef __x86_64__
static int
call_x32(void *data)
{
	(void)data;
	return sandbox_enter(SANDBOX_CLOSED) == -1 ? CANNOT_ENTER : syscall(0x40000000 | SYS_getpid) > 0 ? 1 : 0;
}

static int
call_i386(void *data)
{
	long result = 20;       /* getpid there */

	(void)data;
	if (sandbox_enter(SANDBOX_CLOSED) == -1)
		return CANNOT_ENTER;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
	return result > 0 ? 1 : 0;
}

START_TEST(a_call_of_another_architecture_kills)
{
	ck_assert_int_eq(child_run(call_x32, NULL), -SIGSYS);
	/* A kernel without 32-bit calls sends SIGSEGV before the filter sees one. */
	ck_assert_int_lt(child_run(call_i386, NULL), 0);
}
END_TEST
#endif

Suite *
sandbox_suite(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tcase = tcase_create("sandbox");

	suite_add_tcase(suite, tcase);
	if (child_in_valgrind())
		return suite;
	tcase_add_test(tcase, no_program_could_give_privileges_back);
	tcase_add_test(tcase, sockets_work_on_and_paths_can_be_connected_to);
#ifdef __x86_64__
	tcase_add_test(tcase, a_call_of_another_architecture_kills);
#endif
#ifndef POSTERN_SANITIZERS
	tcase_add_loop_test(tcase, a_listed_call_is_refused, 0, UNIT_COUNT(refused));
	tcase_add_test(tcase, where_reading_is_allowed_nothing_else_is);
	tcase_add_test(tcase, threads_are_inside_too);
	tcase_add_loop_test(tcase, no_socket_keeps_who_closes_it, 0, 3);
	tcase_add_loop_test(tcase, a_socket_is_of_ip_or_unix_and_never_raw, 0, 2 * UNIT_COUNT(sorts));
	tcase_add_test(tcase, libraries_may_ask_the_kernel_about_its_interfaces);
	tcase_add_test(tcase, binding_is_for_ip_and_makes_no_path);
#else
	(void)a_listed_call_is_refused;
	(void)where_reading_is_allowed_nothing_else_is;
	(void)threads_are_inside_too;
	(void)no_socket_keeps_who_closes_it;
	(void)a_socket_is_of_ip_or_unix_and_never_raw;
	(void)libraries_may_ask_the_kernel_about_its_interfaces;
	(void)binding_is_for_ip_and_makes_no_path;
#endif
	return suite;
}

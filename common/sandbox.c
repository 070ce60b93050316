#include "config.h"

#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/must.h"
#include "common/sock.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "sandbox: this machine needs its AUDIT_ARCH_* here and a look at the system calls that only it has"
#endif

#ifdef POSTERN_SANITIZERS
#define REFUSAL SECCOMP_RET_LOG
#else
#define REFUSAL (SECCOMP_RET_ERRNO | EACCES)
#endif

/* Numbers from here up are x86_64's other architecture, x32; no machine has as many of its own. */
#define FOREIGN 0x40000000u

/* Younger than the headers that we may be built with; these numbers are the same everywhere. */
#ifndef __NR_mount_setattr
#define __NR_mount_setattr 442
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#define __NR_removexattrat 466
#endif
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif
#ifndef __NR_file_setattr
#define __NR_file_setattr 469
#endif

/* connect(2) and sendto(2) to a UNIX path stay: that is how such backends are reached. */
static const uint32_t refused[] = {
	/* open a file by another name than its path, or in ways that the filter cannot look into */
	__NR_openat2, __NR_open_by_handle_at, __NR_name_to_handle_at,
	/* become another program */
	__NR_execve, __NR_execveat,
	/* we listen on what the master has bound */
	__NR_listen,
	/* change what paths there are */
	__NR_unlinkat, __NR_renameat2, __NR_linkat, __NR_symlinkat, __NR_mkdirat, __NR_mknodat, __NR_truncate,
	__NR_fchmodat, __NR_fchmodat2, __NR_fchownat, __NR_utimensat, __NR_file_setattr,
	__NR_setxattr, __NR_lsetxattr, __NR_setxattrat, __NR_removexattr, __NR_lremovexattr, __NR_removexattrat,
	/* change what paths mean */
	__NR_chroot, __NR_pivot_root, __NR_mount, __NR_umount2, __NR_open_tree, __NR_open_tree_attr, __NR_move_mount,
	__NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_setns, __NR_unshare,
	/* reach into other processes */
	__NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_pidfd_getfd, __NR_kcmp,
	/* reach into the kernel */
	__NR_bpf, __NR_perf_event_open, __NR_io_uring_setup, __NR_userfaultfd,
	__NR_keyctl, __NR_add_key, __NR_request_key,
	__NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_kexec_file_load,
	__NR_reboot, __NR_swapon, __NR_swapoff, __NR_acct,
	/* the older forms that only some machines have */
#ifdef __NR_renameat
	__NR_renameat,
#endif
#ifdef __x86_64__
	__NR_creat, __NR_unlink, __NR_rename, __NR_link, __NR_symlink, __NR_mkdir, __NR_rmdir, __NR_mknod,
	__NR_chmod, __NR_chown, __NR_lchown, __NR_utime, __NR_utimes, __NR_futimesat, __NR_uselib,
#endif
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))

#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)

/* Refused as well, except at one level, where the low half of an argument (all that an int has) decides. */
static const struct {
	uint32_t call;
	enum sandbox_level level;
	uint32_t decides_at;
	uint16_t test;
	uint32_t value;
	bool wanted;            /* what the test must find */
} exceptions[] = {
	{ __NR_openat, SANDBOX_READING, offsetof(struct seccomp_data, args[2]), BPF_JSET, WRITING, false },
#ifdef __x86_64__
	{ __NR_open, SANDBOX_READING, offsetof(struct seccomp_data, args[1]), BPF_JSET, WRITING, false },
#endif
	/*
	 * The filter does not see the address, but its length: an IP socket takes one as long as this, and
	 * reads the beginning; to a UNIX socket, whose addresses are paths, it is too long whatever it holds.
	 */
	{ __NR_bind, SANDBOX_BINDING, offsetof(struct seccomp_data, args[2]), BPF_JEQ, SOCK_BIND_LEN, true },
};

#define EXCEPTIONS (sizeof(exceptions) / sizeof(exceptions[0]))

_Static_assert(SOCK_BIND_LEN > sizeof(struct sockaddr_un), "a UNIX socket would take an address of this length");

/* The families of sockets that a worker makes, and the last of the kinds (1: streams, 2: datagrams): none is raw. */
static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6 };

#define FAMILIES (sizeof(families) / sizeof(families[0]))
#define KIND 0xf                /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define SOCKET_STEPS (2 + FAMILIES + 3)

/*
 * setsockopt(2) with SO_LINGER: whoever closes the last descriptor of such a socket waits, and
 * that can be another process, the master even, that has been sent one.
 */
static const struct {
	size_t at;
	uint32_t value;
} lingering[] = {
	{ offsetof(struct seccomp_data, nr), __NR_setsockopt },
	{ offsetof(struct seccomp_data, args[1]), SOL_SOCKET },
	{ offsetof(struct seccomp_data, args[2]), SO_LINGER },
};

#define LINGERING (sizeof(lingering) / sizeof(lingering[0]))

/* What a program may be long: head, list, three steps an exception, sockets, two for each test of lingering, ends. */
#define STEPS_MAX (4 + REFUSED + 3 * EXCEPTIONS + SOCKET_STEPS + 2 * LINGERING + 3)

/* A jump counts the steps to pass over in eight bits. */
_Static_assert(STEPS_MAX < 250, "the list has become too long for one jump");

struct program {
	struct sock_filter step[STEPS_MAX];
	size_t count;
	size_t allow, refuse, kill;     /* where it ends */
};

static void
load(struct program *p, size_t offset)
{
	p->step[p->count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* Goes on at the step `if_so` or `if_not`, which lie ahead. */
static void
jump(struct program *p, uint16_t test, uint32_t value, size_t if_so, size_t if_not)
{
	size_t next = p->count + 1;

	MUST(if_so >= next && if_not >= next);
	p->step[p->count++] = (struct sock_filter){ (uint16_t)(BPF_JMP | test | BPF_K),
	    (uint8_t)(if_so - next), (uint8_t)(if_not - next), value };
}

static void
end(struct program *p, uint32_t verdict)
{
	p->step[p->count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict);
}

/* Wrong machine: die. */
static void
compose_head(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	jump(p, BPF_JEQ, ARCHITECTURE, p->count + 1, p->kill);
	load(p, offsetof(struct seccomp_data, nr));
	jump(p, BPF_JGE, FOREIGN, p->kill, p->count + 1);
}

static size_t
exception_steps(size_t i, enum sandbox_level level)
{
	return exceptions[i].level == level ? 3 : 1;
}

static void
compose_exception(struct program *p, size_t i, enum sandbox_level level)
{
	size_t next = p->count + exception_steps(i, level);

	if (exceptions[i].level != level) {
		jump(p, BPF_JEQ, exceptions[i].call, p->refuse, next);
		return;
	}
	jump(p, BPF_JEQ, exceptions[i].call, p->count + 1, next);
	/* Either way it ends here: the number is not loaded any more. */
	load(p, exceptions[i].decides_at);
	jump(p, exceptions[i].test, exceptions[i].value, exceptions[i].wanted ? p->allow : p->refuse,
	    exceptions[i].wanted ? p->refuse : p->allow);
}

/* Libraries that look names up ask the kernel about its interfaces, by sockets of other families. */
static size_t
socket_steps(enum sandbox_level level)
{
	return level == SANDBOX_READING ? 0 : SOCKET_STEPS;
}

static void
compose_socket(struct program *p)
{
	size_t kind = p->count + 2 + FAMILIES;

	jump(p, BPF_JEQ, __NR_socket, p->count + 1, p->count + SOCKET_STEPS);
	load(p, offsetof(struct seccomp_data, args[0]));
	for (size_t i = 0; i < FAMILIES; i++)
		jump(p, BPF_JEQ, families[i], kind, i + 1 < FAMILIES ? p->count + 1 : p->refuse);
	load(p, offsetof(struct seccomp_data, args[1]));
	p->step[p->count++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, KIND);
	jump(p, BPF_JGT, SOCK_DGRAM, p->refuse, p->allow);
}

static void
compose_lingering(struct program *p)
{
	for (size_t i = 0; i < LINGERING; i++) {
		load(p, lingering[i].at);
		jump(p, BPF_JEQ, lingering[i].value, i + 1 < LINGERING ? p->count + 1 : p->refuse, p->allow);
	}
}

/*
 * The filter: wrong machine, die; listed, refuse; an exception, look at its argument; makes a
 * socket of another sort or one that lingers, refuse; else go on. The kernel works out once
 * which calls it always lets pass and asks nothing more for those.
 */
static void
compose(struct program *p, enum sandbox_level level)
{
	p->allow = 4 + REFUSED + socket_steps(level) + 2 * LINGERING;
	for (size_t i = 0; i < EXCEPTIONS; i++)
		p->allow += exception_steps(i, level);
	p->refuse = p->allow + 1;
	p->kill = p->allow + 2;
	compose_head(p);
	for (size_t i = 0; i < REFUSED; i++)
		jump(p, BPF_JEQ, refused[i], p->refuse, p->count + 1);
	for (size_t i = 0; i < EXCEPTIONS; i++)
		compose_exception(p, i, level);
	if (socket_steps(level) > 0)
		compose_socket(p);
	compose_lingering(p);
	MUST(p->count == p->allow);
	end(p, SECCOMP_RET_ALLOW);
	end(p, REFUSAL);
	end(p, SECCOMP_RET_KILL_PROCESS);
}

int
sandbox_enter(enum sandbox_level level)
{
	struct program program = { .count = 0 };
	struct sock_fprog whole = { .filter = program.step };
	long result;

	if (level == SANDBOX_OPEN)
		return 0;
	compose(&program, level);
	whole.len = (unsigned short)program.count;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole);
	if (result > 0) /* the id of a thread that has a filter of its own */
		errno = EBUSY;
	return result == 0 ? 0 : -1;
}

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
#include <unistd.h>

#include "common/must.h"

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
	/* change what paths there are; bind(2) makes sockets, and we listen on what the master has bound */
	__NR_bind, __NR_unlinkat, __NR_renameat2, __NR_linkat, __NR_symlinkat, __NR_mkdirat, __NR_mknodat, __NR_truncate,
	__NR_fchmodat, __NR_fchmodat2, __NR_fchownat, __NR_utimensat, __NR_file_setattr,
	__NR_setxattr, __NR_lsetxattr, __NR_setxattrat, __NR_removexattr, __NR_lremovexattr, __NR_removexattrat,
	/* change what paths mean */
	__NR_chroot, __NR_pivot_root, __NR_mount, __NR_umount2, __NR_open_tree, __NR_open_tree_attr, __NR_move_mount,
	__NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_setns, __NR_unshare,
	/* reach into other processes */
	__NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_pidfd_getfd, __NR_kcmp,
	/* reach into the kernel */
	__NR_bpf, __NR_perf_event_open, __NR_io_uring_setup, __NR_userfaultfd, __NR_keyctl, __NR_add_key, __NR_request_key,
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

/* Open a path; and where each has the flags by which it may be let through. */
static const struct {
	uint32_t call;
	uint32_t flags_at;
} opening[] = {
	{ __NR_openat, offsetof(struct seccomp_data, args[2]) },
#ifdef __x86_64__
	{ __NR_open, offsetof(struct seccomp_data, args[1]) },
#endif
};

#define OPENING (sizeof(opening) / sizeof(opening[0]))
#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)

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

/* What a program of ours may be long: head, list, three steps for each way to open, two for each test of lingering, three ends. */
#define STEPS_MAX (4 + REFUSED + 3 * OPENING + 2 * LINGERING + 3)

/* A jump counts the steps to pass over in eight bits. */
_Static_assert(STEPS_MAX < 250, "the list has become too long for one jump");

static struct sock_filter
jump(uint16_t test, uint32_t value, size_t if_so, size_t if_not)
{
	return (struct sock_filter){ (uint16_t)(BPF_JMP | test | BPF_K), (uint8_t)if_so, (uint8_t)if_not, value };
}

/*
 * The filter: wrong machine, die; listed, refuse; opens a path: refuse, or when reading is
 * allowed look at its flags; makes a socket linger: refuse; else go on. The kernel works out once which calls it always
 * lets pass and asks nothing more for those.
 */
static size_t
compose(struct sock_filter *program, bool reading)
{
	size_t open_steps = reading ? 3 : 1, at = 0;
	size_t allow = 4 + REFUSED + open_steps * OPENING + 2 * LINGERING, refuse = allow + 1, kill = allow + 2;

	program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[at] = jump(BPF_JEQ, ARCHITECTURE, 0, kill - at - 1);
	at++;
	program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	program[at] = jump(BPF_JGE, FOREIGN, kill - at - 1, 0);
	at++;
	for (size_t i = 0; i < REFUSED; i++, at++)
		program[at] = jump(BPF_JEQ, refused[i], refuse - at - 1, 0);
	for (size_t i = 0; i < OPENING; i++) {
		program[at] = jump(BPF_JEQ, opening[i].call, reading ? 0 : refuse - at - 1, reading ? 2 : 0);
		at++;
		if (!reading)
			continue;
		/* Either way it ends here: the number is not loaded any more. */
		program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, opening[i].flags_at);
		program[at] = jump(BPF_JSET, WRITING, refuse - at - 1, allow - at - 1);
		at++;
	}
	/* The low halves, on both machines: all that an int has. */
	for (size_t i = 0; i < LINGERING; i++) {
		program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)lingering[i].at);
		program[at] = jump(BPF_JEQ, lingering[i].value, i + 1 < LINGERING ? 0 : refuse - at - 1, allow - at - 1);
		at++;
	}
	MUST(at == allow);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, REFUSAL);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	return at;
}

int
sandbox_enter(enum sandbox_level level)
{
	struct sock_filter program[STEPS_MAX];
	struct sock_fprog whole = { .filter = program };
	long result;

	if (level == SANDBOX_OPEN)
		return 0;
	whole.len = (unsigned short)compose(program, level == SANDBOX_READING);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole);
	if (result > 0) /* the id of a thread that has a filter of its own */
		errno = EBUSY;
	return result == 0 ? 0 : -1;
}

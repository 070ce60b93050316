#include "config.h"

#include "common/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
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
	/* open a path, or a file by another name than its path */
	__NR_openat, __NR_openat2, __NR_open_by_handle_at, __NR_name_to_handle_at,
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
	__NR_open, __NR_creat, __NR_unlink, __NR_rename, __NR_link, __NR_symlink, __NR_mkdir, __NR_rmdir, __NR_mknod,
	__NR_chmod, __NR_chown, __NR_lchown, __NR_utime, __NR_utimes, __NR_futimesat, __NR_uselib,
#endif
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))

/* A jump counts the steps to pass over in eight bits. */
_Static_assert(REFUSED < 250, "the list has become too long for one jump");

/*
 * The filter: wrong machine, die; listed, refuse; else go on. The kernel works out once
 * which calls it always lets pass and asks nothing more for those.
 */
static size_t
compose(struct sock_filter *program)
{
	size_t at = 0, end = 4 + REFUSED;

	program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, REFUSED + 4);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN, REFUSED + 2, 0);
	for (size_t i = 0; i < REFUSED; i++, at++)
		program[at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], (uint8_t)(end - at), 0);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, REFUSAL);
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	return at;
}

int
sandbox_enter(void)
{
	struct sock_filter program[REFUSED + 7];
	size_t count = compose(program);
	struct sock_fprog whole = { (unsigned short)count, program };
	long result;

	MUST(count == sizeof(program) / sizeof(program[0]));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole);
	if (result > 0) /* the id of a thread that has a filter of its own */
		errno = EBUSY;
	return result == 0 ? 0 : -1;
}

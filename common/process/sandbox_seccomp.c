/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp: the system-call filter of a role, an allow-list made from its rights. Called last before
 * the first untrusted byte. What is not on the list fails with EPERM, so that a library that asks for
 * something unusual goes on without it; calls that only an intruder makes (mount, modules, other
 * processes' memory) end the process. exec and ptrace get EPERM too: then the probe can report on them.
 * A kernel without seccomp is one warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/base/log.h"
#include "common/process/role_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER_BUILD 1
#endif
#endif
#ifndef SANITIZER_BUILD
#define SANITIZER_BUILD 0
#endif

#define CALL(name) SCMP_SYS(name)
#define END_OF_CALLS __NR_SCMP_ERROR

static const int basic_calls[] = {
    /* descriptors it holds */
    CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(write), CALL(writev),
    CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(close), CALL(close_range), CALL(lseek), CALL(_llseek),
    CALL(fstat), CALL(fstat64), CALL(fcntl), CALL(fcntl64), CALL(dup), CALL(dup2), CALL(dup3), CALL(fsync),
    CALL(fdatasync), CALL(sync_file_range), CALL(ftruncate), CALL(ftruncate64), CALL(fallocate),
    CALL(fadvise64), CALL(sendfile), CALL(splice), CALL(pipe2), CALL(eventfd2),
    /* sockets it holds */
    CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(recv), CALL(sendto), CALL(sendmsg), CALL(sendmmsg),
    CALL(send), CALL(shutdown), CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername),
    /* waiting and time */
    CALL(epoll_create1), CALL(epoll_create), CALL(epoll_ctl), CALL(epoll_ctl_old), CALL(epoll_wait),
    CALL(epoll_pwait), CALL(epoll_pwait2), CALL(poll), CALL(ppoll), CALL(ppoll_time64), CALL(select),
    CALL(pselect6), CALL(timerfd_create), CALL(timerfd_settime), CALL(nanosleep), CALL(clock_nanosleep),
    CALL(clock_gettime), CALL(clock_gettime64), CALL(clock_getres), CALL(gettimeofday), CALL(time),
    CALL(futex), CALL(futex_time64), CALL(sched_yield), CALL(restart_syscall),
    /* memory (mmap and mprotect: below) */
    CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), CALL(membarrier),
    /* itself */
    CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
    CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(getrandom), CALL(uname), CALL(sysinfo),
    CALL(getrusage), CALL(getrlimit), CALL(ugetrlimit), CALL(times), CALL(sched_getaffinity), CALL(getcpu),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigreturn), CALL(sigaltstack),
    CALL(rseq), CALL(set_robust_list), CALL(get_robust_list), CALL(exit), CALL(exit_group),
    END_OF_CALLS,
};

static const int accept_calls[] = {CALL(accept), CALL(accept4), END_OF_CALLS};

static const int connect_calls[] = {CALL(connect), CALL(socketpair), END_OF_CALLS};

static const int read_file_calls[] = {
    CALL(stat), CALL(stat64), CALL(lstat), CALL(lstat64), CALL(fstatat64), CALL(statx), CALL(newfstatat), CALL(access),
    CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getdents), CALL(getdents64),
    CALL(statfs), CALL(fstatfs), CALL(statfs64), CALL(fstatfs64), CALL(getcwd), CALL(chdir), CALL(fchdir), CALL(flock),
    CALL(inotify_init1), CALL(inotify_add_watch), CALL(inotify_rm_watch), CALL(umask), END_OF_CALLS,
};

static const int write_file_calls[] = {
    CALL(open), CALL(creat), CALL(openat), CALL(openat2), CALL(rename), CALL(renameat), CALL(renameat2), CALL(unlink),
    CALL(unlinkat), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(link), CALL(linkat), CALL(chmod), CALL(fchmod),
    CALL(fchmodat), CALL(utime), CALL(utimes), CALL(futimesat), CALL(utimensat), CALL(truncate), CALL(truncate64),
    CALL(syncfs), CALL(msync), CALL(copy_file_range), END_OF_CALLS,
};

static const int set_id_calls[] = {
    CALL(setresuid), CALL(setresgid), CALL(setreuid), CALL(setregid), CALL(setgroups), CALL(setfsuid),
    CALL(setfsgid), CALL(chown), CALL(lchown), CALL(fchown), CALL(fchownat), CALL(capget), CALL(capset),
    END_OF_CALLS,
};

static const int thread_calls[] = {
    CALL(sched_getparam), CALL(sched_getscheduler), CALL(sched_setaffinity), CALL(set_tid_address), END_OF_CALLS,
};

/* A child gives up more: its filter comes on top of this one. */
static const int fork_calls[] = {
    CALL(wait4), CALL(kill), CALL(prctl), CALL(seccomp), CALL(set_tid_address), CALL(socketpair), END_OF_CALLS,
};

/* What AddressSanitizer does at start of threads, in reports and at exit. */
static const int sanitizer_calls[] = {
    CALL(readlink), CALL(prctl), CALL(sched_getparam), CALL(kill), CALL(wait4),
    CALL(prlimit64), CALL(arch_prctl), CALL(getdents64), END_OF_CALLS,
};

/* No daemon and no library of ours ever makes these by accident. */
static const int deadly_calls[] = {
    CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(init_module), CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon), CALL(swapoff), CALL(setns), CALL(unshare),
    CALL(process_vm_readv), CALL(process_vm_writev), CALL(bpf), CALL(perf_event_open), CALL(userfaultfd),
    CALL(keyctl), CALL(add_key), CALL(request_key), CALL(iopl), CALL(ioperm), CALL(acct), CALL(quotactl),
    CALL(open_by_handle_at), END_OF_CALLS,
};

/* A call that this architecture does not have is no error. */
static void add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls)
{
    for (; *calls != END_OF_CALLS; calls++) {
        int result = seccomp_rule_add(filter, action, *calls, 0);
        if (result < 0 && result != -EDOM && result != -EEXIST)
            log_fatal("cannot make the system-call filter: call %d: %s", *calls, strerror(-result));
    }
}

static void add_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
    if (result < 0 && result != -EDOM && result != -EEXIST)
        log_fatal("cannot make the system-call filter: call %d: %s", call, strerror(-result));
}

static void add_basic(scmp_filter_ctx filter)
{
    add_calls(filter, SCMP_ACT_ALLOW, basic_calls);
    add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly_calls);
    if (SANITIZER_BUILD)
        add_calls(filter, SCMP_ACT_ALLOW, sanitizer_calls);
    /* Memory is never both written and executed. */
    add_if(filter, CALL(mmap), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    add_if(filter, CALL(mmap2), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    add_if(filter, CALL(mprotect), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* fstat(2) of newer C libraries: the flag says that no path is looked up when it is empty. */
    add_if(filter, CALL(newfstatat), SCMP_A3_32(SCMP_CMP_MASKED_EQ, 0x1000, 0x1000));
    add_if(filter, CALL(ioctl), SCMP_A1_32(SCMP_CMP_EQ, FIONREAD));
    add_if(filter, CALL(ioctl), SCMP_A1_32(SCMP_CMP_EQ, FIONBIO));
    /* Reading limits, not setting them. */
    add_if(filter, CALL(prlimit64), SCMP_A2_64(SCMP_CMP_EQ, 0));
    /* abort() and raise(): Landlock and the uid keep the signal at home. */
    add_if(filter, CALL(tgkill), SCMP_A2_32(SCMP_CMP_EQ, 6));
}

static void add_sockets(scmp_filter_ctx filter, unsigned rights)
{
    if (rights & RIGHT_ACCEPT)
        add_calls(filter, SCMP_ACT_ALLOW, accept_calls);
    if (rights & (RIGHT_CONNECT_UNIX | RIGHT_CONNECT_INET))
        add_calls(filter, SCMP_ACT_ALLOW, connect_calls);
    if (rights & RIGHT_CONNECT_UNIX)
        add_if(filter, CALL(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (rights & RIGHT_CONNECT_INET) {
        add_if(filter, CALL(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_INET));
        add_if(filter, CALL(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_INET6));
        /* getaddrinfo() asks the kernel for its own addresses; bind: an unnamed local end. */
        add_if(filter, CALL(socket), SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK));
        static const int bind_calls[] = {CALL(bind), END_OF_CALLS};
        add_calls(filter, SCMP_ACT_ALLOW, bind_calls);
    }
}

static void add_files(scmp_filter_ctx filter, unsigned rights)
{
    const unsigned writing = O_ACCMODE | O_CREAT | O_TRUNC;
    if (rights & (RIGHT_READ_FILES | RIGHT_WRITE_FILES))
        add_calls(filter, SCMP_ACT_ALLOW, read_file_calls);
    if (rights & RIGHT_WRITE_FILES)
        add_calls(filter, SCMP_ACT_ALLOW, write_file_calls);
    else if ((rights & RIGHT_READ_FILES) || SANITIZER_BUILD) {
        add_if(filter, CALL(open), SCMP_A1_32(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
        add_if(filter, CALL(openat), SCMP_A2_32(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    }
}

static void add_threads(scmp_filter_ctx filter)
{
    const unsigned thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    add_calls(filter, SCMP_ACT_ALLOW, thread_calls);
    add_if(filter, CALL(clone), SCMP_A0_64(SCMP_CMP_MASKED_EQ, thread, thread));
    /* clone3 hides its flags behind a pointer: say "unknown", and the C library uses clone. */
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    if (result < 0 && result != -EDOM)
        log_fatal("cannot make the system-call filter: clone3: %s", strerror(-result));
}

/* Processes, not threads that share memory; clone3 is answered as in add_threads(). */
static void add_fork(scmp_filter_ctx filter)
{
    add_calls(filter, SCMP_ACT_ALLOW, fork_calls);
    add_if(filter, CALL(clone), SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS, 0));
    static const int missing_calls[] = {CALL(clone3), END_OF_CALLS};
    add_calls(filter, SCMP_ACT_ERRNO(ENOSYS), missing_calls);
}

void sandbox_seccomp(const struct sandbox *sandbox)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        log_fatal("cannot make the system-call filter: out of memory");
    add_basic(filter);
    add_sockets(filter, sandbox->rights);
    add_files(filter, sandbox->rights);
    if (sandbox->rights & RIGHT_SET_IDS)
        add_calls(filter, SCMP_ACT_ALLOW, set_id_calls);
    if (sandbox->rights & RIGHT_THREADS)
        add_threads(filter);
    if (sandbox->rights & RIGHT_FORK)
        add_fork(filter);
    /* A binary tree instead of a row of a hundred comparisons; libraries before 2.5 lack it. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int result = seccomp_load(filter);
    if (result < 0)
        log_warning("%s: this kernel takes no system-call filter (%s): the role runs without one", sandbox->name,
                    strerror(-result));
    seccomp_release(filter);
}

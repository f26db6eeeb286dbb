/* SPDX-License-Identifier: ISC */
/*
 * sandbox_probe: tries, from inside a confined role, what an intruder would try, and tells the errno of each.
 * Only the supervisor can ask for it ("posthorn probe", the end-to-end tests). Every try is harmless
 * where it succeeds: nothing is written but one file that is removed again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/role_internal.h"

static uint32_t probe_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return (uint32_t)errno;
    close(fd);
    return 0;
}

static uint32_t probe_create(const char *path)
{
    uint32_t error = probe_open(path, O_WRONLY | O_CREAT | O_EXCL);
    if (error == 0 && unlink(path) < 0)
        return (uint32_t)errno;
    return error;
}

static uint32_t probe_connect(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return (uint32_t)errno;
    uint32_t error = connect(fd, address, len) < 0 ? (uint32_t)errno : 0;
    close(fd);
    return error == EINPROGRESS ? 0 : error;
}

static uint32_t probe_inet(void)
{
    /* A port on which nobody listens: "connection refused" also means that the sandbox let it out. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return probe_connect(AF_INET, (struct sockaddr *)&address, sizeof address);
}

static uint32_t probe_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/posthorn-probe"};
    return probe_connect(AF_UNIX, (struct sockaddr *)&address, sizeof address);
}

static uint32_t probe_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return (uint32_t)errno;
    bool works = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    uint32_t error = works ? 0 : (uint32_t)errno;
    close(fd);
    return error;
}

static uint32_t probe_exec(void)
{
    static char *const arguments[] = {(char *)"true", NULL}, *const environment[] = {NULL};
    (void)execve("/bin/true", arguments, environment);
    return (uint32_t)errno;
}

/* What a failing call left in errno; 0 when it worked. */
static uint32_t outcome(long result)
{
    return result < 0 ? (uint32_t)errno : 0;
}

static uint32_t probe_fork(void)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    return outcome(child);
}

static uint32_t probe_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return (uint32_t)errno;
    munmap(page, 4096);
    return 0;
}

size_t sandbox_probe(struct arena *arena, const char *queue_directory, struct probe_result *results)
{
    const char *spool_file = arena_printf(arena, "%s/incoming/.probe", queue_directory);
    const struct {
        const char *what;
        uint32_t error;
    } tries[PROBE_COUNT] = {
        {"read /etc/passwd", probe_open("/etc/passwd", O_RDONLY)},
        {"read /etc/shadow", probe_open("/etc/shadow", O_RDONLY)},
        {"create in the queue directory", probe_create(spool_file)},
        {"create in /tmp", probe_create("/tmp/.posthorn-probe")},
        {"connect to 127.0.0.1", probe_inet()},
        {"connect to a unix socket", probe_unix()},
        {"listen on a port", probe_listen()},
        {"run a program", probe_exec()},
        {"fork", probe_fork()},
        {"trace a process", outcome(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL))},
        {"signal another process", outcome(kill(getppid(), 0))},
        {"become root", outcome(setuid(0))},
        {"make writable memory executable", probe_code()},
        {"change the root directory back", outcome(syscall(SYS_chdir, ".."))},
    };
    for (size_t i = 0; i < PROBE_COUNT; i++)
        results[i] = (struct probe_result){arena_strdup(arena, tries[i].what), tries[i].error};
    return PROBE_COUNT;
}

/* SPDX-License-Identifier: ISC */
/*
 * forge: what a taken-over role can do to its neighbours. Starts one real role as the supervisor would, connects to it as
 * each of its neighbours in master/graph.c, and sends what no honest neighbour sends. The role may end itself (that is the
 * rule for malformed records) or answer; it may not die of a signal, stop answering, grow, or keep descriptors.
 * Run by tests/e2e/test_forged_records.py: forge DAEMON_DIRECTORY CONFIG_DIRECTORY USER ROLE
 */
#include "tests/tools/forge.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc.h"
#include "common/process/ipc_socket.h"
#include "common/process/layout.h"
#include "common/process/log_sink.h"
#include "common/process/master_protocol.h"
#include "master/graph.h"

enum { MOST_MEMORY_KB = 300 * 1024, ANSWER_MS = 10000 };

enum role_id target_role;
int target_port;
static const char *daemon_directory;
static struct config *config;
static struct passwd *user;
static pid_t pid;
static int channel = -1, listener = -1, log_fd = -1;
static size_t descriptors;
static unsigned attacks, endings, failures;

void failed(const char *edge, const char *attack, const char *what)
{
    printf("FAILED %s: %s: %s\n", edge, attack, what);
    failures++;
}

void must(bool is_true, const char *edge, const char *attack, const char *what)
{
    if (!is_true)
        failed(edge, attack, what);
}

/* --- packets ---------------------------------------------------------------------------------------- */

bool send_raw(int fd, const void *data, size_t len, int passed)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    while (poll(&poller, 1, ANSWER_MS) == 1)
        if (ipc_socket_send(fd, data, len, passed))
            return true;
    return false; /* it does not read */
}

bool send_record(int fd, uint16_t type, uint16_t flags, uint32_t id, struct slice body, int passed)
{
    static char packet[PACKET_SIZE];
    do {
        uint32_t length = (uint32_t)(body.len < PACKET_SIZE - HEADER_SIZE ? body.len : PACKET_SIZE - HEADER_SIZE);
        bool last = length == body.len;
        uint16_t words[2] = {type, (uint16_t)(flags | (last ? 0 : FLAG_MORE) | (last && passed >= 0 ? FLAG_FD : 0))};
        memcpy(packet, &length, 4);
        memcpy(packet + 4, words, 4);
        memcpy(packet + 8, &id, 4);
        if (length > 0)
            memcpy(packet + HEADER_SIZE, body.data, length);
        body = slice_skip(body, length);
        if (!send_raw(fd, packet, HEADER_SIZE + length, last ? passed : -1))
            return false;
    } while (body.len > 0);
    return true;
}

static int packet_is_of = -1;

bool receive_record(int fd, int ms, struct record *record, int *passed)
{
    static char packet[PACKET_SIZE];
    static size_t at, len;
    int got = -1;
    if (packet_is_of != fd || at + HEADER_SIZE > len) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        at = len = 0;
        if (poll(&poller, 1, ms) != 1 || ipc_socket_receive(fd, packet, &len, &got) != IPC_ARRIVED)
            return false;
        packet_is_of = fd;
    }
    memcpy(record, packet + at, HEADER_SIZE);
    record->body = packet + at + HEADER_SIZE;
    at += HEADER_SIZE + record->length;
    if (passed != NULL)
        *passed = got;
    else if (got >= 0)
        close(got);
    return true;
}

/* --- the role ----------------------------------------------------------------------------------------- */

static void child_exec(int fds[4])
{
    char *path = mem_printf("%s/%s", daemon_directory, role_name(target_role));
    char *arguments[] = {(char *)(uintptr_t)role_name(target_role), NULL};
    /* A confined process may not be traced, which is how leaks are looked for. */
    char *sanitizer = mem_printf("ASAN_OPTIONS=%s:detect_leaks=0", getenv("ASAN_OPTIONS") != NULL ? getenv("ASAN_OPTIONS") : "");
    char *environment[] = {(char *)(uintptr_t)"PATH=/usr/bin:/bin", sanitizer, NULL};
    for (int i = 0; i < 4; i++)
        fds[i] = fcntl(fds[i], F_DUPFD, 20);
    for (int i = 0; i < 4; i++)
        if (dup2(fds[i], ROLE_FD_CHANNEL + i) < 0)
            _exit(99);
    if (close_range(ROLE_FD_CHANNEL + 4, ~0u, 0) == 0 && dup2(ROLE_FD_LOG, STDERR_FILENO) >= 0)
        execve(path, arguments, environment);
    _exit(99);
}

static size_t count_descriptors(void)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void send_start(void)
{
    char *listeners[] = {(char *)(uintptr_t)"inet:127.0.0.1:0"};
    char *empty_root = geteuid() == 0 ? layout_empty_root(config) : mem_strdup("");
    const struct start_record record = {
        .role = (uint8_t)target_role, .service = (char *)(uintptr_t)role_name(target_role), .log_sink = LOG_TO_FILE,
        .has_log = true, .drop_ids = geteuid() == 0, .uid = user->pw_uid, .gid = user->pw_gid, .empty_root = empty_root,
        .listeners = listeners, .listener_count = target_role == ROLE_SMTPD || target_role == ROLE_SUBMISSION};
    struct str packet = STR_EMPTY;
    start_record_encode(&record, &packet);
    if (send(channel, packet.data, packet.len, 0) != (ssize_t)packet.len)
        log_fatal("send: %s", strerror(errno));
    str_free(&packet);
    free(empty_root);
}

void target_start(void)
{
    int fds[2], memory = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct record ready = {0};
    config_send(config, memory);
    if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        log_fatal("cannot seal the configuration: %s", strerror(errno));
    ipc_socket_pair(fds);
    if (channel >= 0)
        close(channel);
    channel = fds[0];
    send_start();
    pid = fork();
    if (pid == 0)
        child_exec((int[4]){fds[1], memory, log_fd, listener});
    close(fds[1]);
    close(memory);
    if (target_role == ROLE_KEYS)
        send_record(channel, MASTER_FILES_END, 0, 0, SLICE(""), -1);
    while (ready.type != MASTER_READY)
        if (!receive_record(channel, ANSWER_MS, &ready, NULL))
            log_fatal("%s does not start", role_name(target_role));
    descriptors = count_descriptors();
}

int target_connect(enum role_id we, bool it_asks)
{
    int fds[2];
    struct str body = STR_EMPTY;
    const struct peer_record record = {(uint8_t)we, (char *)(uintptr_t)role_name(we), it_asks};
    ipc_socket_pair(fds);
    packet_is_of = -1;
    peer_record_encode(&record, &body);
    send_record(channel, MASTER_PEER, 0, 0, str_slice(&body), fds[1]);
    str_free(&body);
    close(fds[1]);
    return fds[0];
}

bool target_is_alive(void)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static long memory_kb(void)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kb;
}

/* False: it ended, or does not answer its supervisor. */
static bool target_answers(void)
{
    struct record record;
    static uint32_t id;
    if (!send_record(channel, MASTER_PROBE, FLAG_REQUEST, ++id, SLICE(""), -1))
        return false;
    while (receive_record(channel, ANSWER_MS, &record, NULL))
        if ((record.flags & FLAG_REPLY) != 0 && record.id == id)
            return true;
    return false;
}

static void judge_end(const char *edge, const char *attack, bool must_live)
{
    int status = 0;
    char *how;
    for (int i = 0; i < ANSWER_MS / 2 && target_is_alive(); i++)
        usleep(1000);
    if (waitpid(pid, &status, WNOHANG) == 0) {
        failed(edge, attack, "it does not answer its supervisor");
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return;
    }
    endings++;
    how = WIFSIGNALED(status) ? mem_printf("killed by signal %d", WTERMSIG(status)) :
                                mem_printf("ended with status %d", WEXITSTATUS(status));
    if (must_live || WIFSIGNALED(status) || WEXITSTATUS(status) > 1)
        failed(edge, attack, how);
    free(how);
}

void target_judge(const char *edge, const char *attack, bool must_live)
{
    attacks++;
    if (!target_answers()) {
        judge_end(edge, attack, must_live);
        target_start();
        return;
    }
    if (memory_kb() > MOST_MEMORY_KB && getenv("ASAN_OPTIONS") == NULL)
        failed(edge, attack, "it has grown");
    for (int i = 0; i < 100 && count_descriptors() > descriptors + 8; i++)
        usleep(20000);
    if (count_descriptors() > descriptors + 8)
        failed(edge, attack, "it keeps descriptors");
}

/* --- main ---------------------------------------------------------------------------------------------- */

static void open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 10) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0)
        log_fatal("listen: %s", strerror(errno));
    target_port = ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
    struct config_problems problems = {0};
    const struct log_options to_stderr = {.sink = LOG_TO_STDERR, .fd = -1, .component = "forge"};
    log_open(&to_stderr);
    if (argc != 5)
        log_fatal("usage: forge DAEMON_DIRECTORY CONFIG_DIRECTORY USER ROLE");
    daemon_directory = argv[1];
    config = config_load(argv[2], &problems);
    user = getpwnam(argv[3]);
    while (target_role < ROLE_COUNT && strcmp(role_name(target_role), argv[4]) != 0)
        target_role++;
    if (config == NULL || user == NULL || target_role == ROLE_COUNT)
        log_fatal("no such configuration, user or role");
    log_fd = open(config_string(config, "maillog_file"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    signal(SIGPIPE, SIG_IGN);
    open_listener();
    target_start();
    for (int role = 0; role < ROLE_COUNT; role++)
        if (graph_has_edge((enum role_id)role, target_role))
            ask_as_client((enum role_id)role);
    answer_as_servers();
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    printf("%s: %u attacks, it ended itself %u times, %u failures\n", argv[4], attacks, endings, failures);
    return failures > 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * cyrus_pool: auth's side of Cyrus SASL: which worker an exchange is bound to, how many there are, and when one is killed.
 * An exchange stays with its worker. A new one goes to a worker that is idle; while all are busy another is started, up to
 * auth_worker_limit, and beyond that it waits for the first that is free.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/cyrus.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/helper.h"
#include "common/process/ipc_socket.h"
#include "common/process/master_protocol.h"

#define SPAWNER_S 10
#define WORKER_LIFE 1000  /* exchanges until a worker is replaced: libraries leak */
#define IDLE_MS (60 * 1000)
#define LOG_LINES 20      /* that one step may cause */
#define CHECK_MS (5 * 1000) /* how often the configuration file's stamp is looked at */

struct worker {
    LIST_ENTRY(worker) link;
    struct cyrus *cyrus;
    struct fiber_fd handle;
    int64_t pid;
    bool is_busy;   /* a question is under way */
    bool is_dead;
    unsigned users; /* exchanges bound to it, and fibers that wait for it */
    unsigned served;
    int64_t idle_since;
};

struct cyrus {
    struct cyrus_setup *setup;
    struct fiber_fd spawner;
    bool spawner_is_busy;
    struct fiber_cond spawner_is_free;
    LIST_HEAD(, worker) workers;
    size_t worker_count, worker_limit;
    struct fiber_cond changed; /* a worker became free, or ended */
    int64_t checked;
    bool has_reaper;
};

/* exchange->progress. */
struct binding {
    struct worker *worker;
    bool is_begun; /* the worker knows the exchange */
};

static void prepare_library(void *setup)
{
    cyrus_library_start(setup);
}

void *cyrus_open(const char *application, const char *config_path, const struct config *config)
{
    struct cyrus *cyrus = mem_alloc(sizeof *cyrus);
    cyrus->setup = cyrus_setup_make(application, config_path, config);
    cyrus->worker_limit = (size_t)config_int(config, "auth_worker_limit");
    LIST_INIT(&cyrus->workers);
    struct role_helper helper = {
        .name = "auth-spawner",
        .rights = cyrus->setup->rights | RIGHT_FORK,
        .directories = cyrus->setup->directories,
        .prepare = prepare_library,
        .run = cyrus_spawner_run,
        .context = cyrus->setup,
    };
    fiber_fd_init(&cyrus->spawner, role_fork_helper(&helper));
    return cyrus;
}

/* --- packets --------------------------------------------------------------------------------------------- */

static bool send_packet(struct fiber_fd *handle, struct slice packet, int64_t deadline)
{
    for (;;) {
        if (send(handle->fd, packet.data, packet.len, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN || fiber_wait_fd(handle, FIBER_WRITE, deadline) != WAIT_OK)
            return false;
    }
}

/* The length of a packet; -1: none before the deadline, or the other end is gone. fd may be NULL. */
static ssize_t receive_packet(struct fiber_fd *handle, char *packet, size_t size, int *fd, int64_t deadline)
{
    union ipc_control control;
    for (;;) {
        struct iovec piece = {packet, size};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = fd != NULL ? control.space : NULL,
                                 .msg_controllen = fd != NULL ? sizeof control.space : 0};
        ssize_t len = recvmsg(handle->fd, &message, MSG_CMSG_CLOEXEC);
        if (len >= 0) {
            struct cmsghdr *part = fd != NULL ? CMSG_FIRSTHDR(&message) : NULL;
            if (part != NULL && part->cmsg_type == SCM_RIGHTS)
                memcpy(fd, CMSG_DATA(part), sizeof *fd);
            return len > 0 && (message.msg_flags & MSG_TRUNC) == 0 ? len : -1;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN || fiber_wait_fd(handle, FIBER_READ, deadline) != WAIT_OK)
            return -1;
    }
}

/* --- the spawner ------------------------------------------------------------------------------------------- */

static void tell_spawner(struct cyrus *cyrus, enum spawner_question question, int64_t pid)
{
    struct str body = STR_EMPTY;
    ipc_put_u8(&body, (uint8_t)question);
    if (question == SPAWNER_KILL)
        ipc_put_i64(&body, pid);
    if (!send_packet(&cyrus->spawner, str_slice(&body), deadline_in_s(SPAWNER_S)))
        log_fatal("the process that starts SASL workers is gone");
    str_free(&body);
}

/* One question and its answer; the caller closes *fd. */
static int64_t ask_spawner(struct cyrus *cyrus, enum spawner_question question, int *fd)
{
    char packet[64];
    while (cyrus->spawner_is_busy)
        if (fiber_cond_wait(&cyrus->spawner_is_free, CLOCK_NEVER) == WAIT_CANCELLED)
            return -1;
    cyrus->spawner_is_busy = true;
    *fd = -1;
    tell_spawner(cyrus, question, 0);
    ssize_t len = receive_packet(&cyrus->spawner, packet, sizeof packet, fd, deadline_in_s(SPAWNER_S));
    cyrus->spawner_is_busy = false;
    fiber_cond_signal(&cyrus->spawner_is_free);
    struct ipc_reader reader = ipc_reader_of(slice_range(packet, len > 0 ? (size_t)len : 0));
    int64_t number = ipc_get_i64(&reader);
    if (!ipc_reader_finish(&reader))
        log_fatal("the process that starts SASL workers does not answer");
    return number;
}

/* Postfix's processes live for minutes only, so nobody reloads after an edit. The library reads the file once. */
static void check_configuration(struct cyrus *cyrus)
{
    int64_t now = clock_ms();
    int fd;
    if (cyrus->setup->file == NULL || now - cyrus->checked < CHECK_MS)
        return;
    cyrus->checked = now;
    if (ask_spawner(cyrus, SPAWNER_CHANGED, &fd) == 1)
        log_fatal("%s has changed: starting again with it", cyrus->setup->file);
}

/* --- workers --------------------------------------------------------------------------------------------------- */

static void worker_free_if_unused(struct worker *worker)
{
    if (!worker->is_dead || worker->users > 0 || worker->is_busy)
        return;
    fiber_fd_close(&worker->handle);
    free(worker);
}

/* Its exchanges find out when they go on. */
static void worker_end(struct worker *worker, bool kill)
{
    if (worker->is_dead)
        return;
    worker->is_dead = true;
    LIST_REMOVE(worker, link);
    worker->cyrus->worker_count--;
    if (kill)
        tell_spawner(worker->cyrus, SPAWNER_KILL, worker->pid);
    else if (shutdown(worker->handle.fd, SHUT_RDWR) != 0 && errno != ENOTCONN)
        log_warning("SASL worker: shutdown: %m");
    fiber_cond_broadcast(&worker->cyrus->changed);
}

static void reaper_fiber(void *arg)
{
    struct cyrus *cyrus = arg;
    while (fiber_sleep_until(deadline_in_ms(IDLE_MS / 4)) == WAIT_OK) {
        struct worker *worker, *next;
        int64_t oldest = clock_ms() - IDLE_MS;
        for (worker = LIST_FIRST(&cyrus->workers); worker != NULL; worker = next) {
            next = LIST_NEXT(worker, link);
            if (worker->users == 0 && !worker->is_busy && worker->idle_since < oldest && cyrus->worker_count > 1) {
                worker_end(worker, false);
                worker_free_if_unused(worker);
            }
        }
    }
}

static struct worker *worker_start(struct cyrus *cyrus)
{
    int fd;
    cyrus->worker_count++; /* counted before the wait: the limit holds for those who ask meanwhile */
    int64_t pid = ask_spawner(cyrus, SPAWNER_START, &fd);
    if (pid < 0 || fd < 0) {
        cyrus->worker_count--;
        log_warning("cannot start a SASL worker");
        return NULL;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        log_fatal("cannot make a SASL worker's socket non-blocking: %m");
    struct worker *worker = mem_alloc(sizeof *worker);
    worker->cyrus = cyrus;
    worker->pid = pid;
    worker->idle_since = clock_ms();
    fiber_fd_init(&worker->handle, fd);
    LIST_INSERT_HEAD(&cyrus->workers, worker, link);
    if (!cyrus->has_reaper)
        fiber_spawn("workers", reaper_fiber, cyrus);
    cyrus->has_reaper = true;
    return worker;
}

/* One that is not busy, with the fewest exchanges; with `alone`, one that has none. */
static struct worker *find_idle(struct cyrus *cyrus, bool alone)
{
    struct worker *worker, *best = NULL;
    LIST_FOREACH (worker, &cyrus->workers, link)
        if (!worker->is_busy && worker->users < (alone ? 1u : WORKER_EXCHANGES) &&
            (best == NULL || worker->users < best->users))
            best = worker;
    return best;
}

/* A worker for a new exchange, already counted as its user. NULL: none before the deadline. */
static struct worker *worker_take(struct cyrus *cyrus, int64_t deadline)
{
    for (;;) {
        struct worker *worker = find_idle(cyrus, true);
        if (worker == NULL && cyrus->worker_count < cyrus->worker_limit)
            worker = worker_start(cyrus);
        if (worker == NULL || worker->is_busy)
            worker = find_idle(cyrus, false);
        if (worker != NULL) {
            worker->users++;
            return worker;
        }
        if (fiber_cond_wait(&cyrus->changed, deadline) != WAIT_OK)
            return NULL;
    }
}

static void worker_release(struct worker *worker)
{
    struct cyrus *cyrus = worker->cyrus;
    worker->users--;
    worker->idle_since = clock_ms();
    if (worker->users == 0 && !worker->is_dead && !worker->is_busy && ++worker->served >= WORKER_LIFE)
        worker_end(worker, false);
    worker_free_if_unused(worker);
    fiber_cond_signal(&cyrus->changed);
}

/* --- one question to a worker --------------------------------------------------------------------------------------- */

/* False: more follows. */
static bool take_answer(struct slice packet, struct arena *arena, struct sasl_answer *answer, bool *is_good)
{
    struct ipc_reader reader = ipc_reader_of(packet);
    uint8_t kind = ipc_get_u8(&reader);
    *is_good = true;
    if (kind == WORKER_LOG) {
        bool is_problem = ipc_get_bool(&reader);
        const char *text = ipc_get_text(&reader, arena);
        if (ipc_reader_finish(&reader))
            log_warning_as("smtpd", "SASL authentication %s: %.500s", is_problem ? "problem" : "failure", text);
        return false;
    }
    *is_good = kind == WORKER_ANSWER && sasl_answer_decode(slice_skip(packet, 1), arena, answer);
    return true;
}

static bool receive_answer(struct worker *worker, struct arena *arena, struct sasl_answer *answer, int64_t deadline)
{
    char *packet = mem_alloc(WORKER_PACKET);
    bool is_good = false, is_done = false;
    for (unsigned i = 0; i < LOG_LINES && !is_done; i++) {
        ssize_t len = receive_packet(&worker->handle, packet, WORKER_PACKET, NULL, deadline);
        is_good = false;
        if (len < 0)
            break;
        is_done = take_answer(slice_range(packet, (size_t)len), arena, answer, &is_good);
    }
    free(packet);
    return is_done && is_good;
}

/* Waits for its turn, asks, and waits for the answer. The body is wiped. A worker that fails is killed. */
static void worker_ask(struct worker *worker, struct str *body, struct arena *arena, struct sasl_answer *answer)
{
    int64_t deadline = deadline_in_ms(auth_timeout_ms());
    bool is_good = !worker->is_dead;
    while (is_good && worker->is_busy)
        is_good = fiber_cond_wait(&worker->cyrus->changed, deadline) == WAIT_OK && !worker->is_dead;
    if (is_good) {
        worker->is_busy = true;
        is_good = send_packet(&worker->handle, str_slice(body), deadline) && receive_answer(worker, arena, answer, deadline);
        worker->is_busy = false;
        if (!is_good) {
            log_warning("SASL worker %lld: %s", (long long)worker->pid,
                        clock_ms() >= deadline ? "no answer in time: killed" : "ended unexpectedly");
            worker_end(worker, true);
        }
        fiber_cond_broadcast(&worker->cyrus->changed);
    }
    secret_free(body);
    if (!is_good)
        answer_set(answer, SASL_UNAVAILABLE, "Connection lost to authentication server", arena);
}

/* --- what the exchange asks ------------------------------------------------------------------------------------------ */

static void cyrus_mechanisms(void *state, const struct sasl_client *client, struct arena *arena,
                             struct sasl_answer *answer)
{
    struct cyrus *cyrus = state;
    struct str body = STR_EMPTY;
    check_configuration(cyrus);
    struct worker *worker = worker_take(cyrus, deadline_in_ms(auth_timeout_ms()));
    if (worker == NULL) {
        answer_set(answer, SASL_UNAVAILABLE, "all SASL workers are busy", arena);
        return;
    }
    ipc_put_u8(&body, WORKER_LIST);
    sasl_client_encode(client, &body);
    worker_ask(worker, &body, arena, answer);
    worker_release(worker);
}

static void cyrus_start(struct exchange *exchange, const struct sasl_client *client, const char *mechanism,
                        const struct slice *initial, struct arena *arena, struct sasl_answer *answer)
{
    struct cyrus *cyrus = exchange->backend->state;
    struct str body = STR_EMPTY;
    check_configuration(cyrus);
    struct worker *worker = worker_take(cyrus, deadline_in_ms(auth_timeout_ms()));
    if (worker == NULL) {
        answer_set(answer, SASL_UNAVAILABLE, "all SASL workers are busy", arena);
        return;
    }
    struct binding *binding = mem_alloc(sizeof *binding);
    binding->worker = worker;
    exchange->progress = binding;
    str_reserve(&body, 8192 + (initial != NULL ? initial->len : 0));
    ipc_put_u8(&body, WORKER_START);
    ipc_put_u64(&body, exchange->id);
    sasl_client_encode(client, &body);
    ipc_put_text(&body, mechanism);
    ipc_put_bool(&body, initial != NULL);
    ipc_put_slice(&body, initial != NULL ? *initial : slice_range(NULL, 0));
    worker_ask(worker, &body, arena, answer);
    binding->is_begun = answer->status == SASL_MORE;
}

static void cyrus_step(struct exchange *exchange, struct slice response, struct arena *arena, struct sasl_answer *answer)
{
    struct binding *binding = exchange->progress;
    struct str body = STR_EMPTY;
    str_reserve(&body, 64 + response.len);
    ipc_put_u8(&body, WORKER_STEP);
    ipc_put_u64(&body, exchange->id);
    ipc_put_slice(&body, response);
    worker_ask(binding->worker, &body, arena, answer);
    /* Without an answer the worker may still keep the exchange, and must be told to drop it. */
    binding->is_begun = answer->status == SASL_MORE || answer->status == SASL_UNAVAILABLE;
}

/* The worker forgets it. A packet of nine bytes always fits; if not, the worker hangs and will be killed. */
static void cyrus_drop(struct exchange *exchange)
{
    struct binding *binding = exchange->progress;
    struct str body = STR_EMPTY;
    if (binding->is_begun && !binding->worker->is_dead) {
        ipc_put_u8(&body, WORKER_DROP);
        ipc_put_u64(&body, exchange->id);
        if (send(binding->worker->handle.fd, body.data, body.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            worker_end(binding->worker, true);
        str_free(&body);
    }
    worker_release(binding->worker);
    free(binding);
    exchange->progress = NULL;
}

static bool is_probed(struct slice packet, struct arena *arena, struct probe_result **results, size_t *count)
{
    return packet.len > 0 && packet.data[0] == WORKER_PROBED &&
           probe_results_decode(slice_skip(packet, 1), arena, results, count);
}

/* "posthorn probe": a worker tells about itself. */
static size_t cyrus_probe(void *state, struct arena *arena, struct probe_result **results)
{
    char *packet = mem_alloc(WORKER_PACKET);
    size_t count = 0;
    struct str body = STR_EMPTY;
    int64_t deadline = deadline_in_s(SPAWNER_S);
    struct worker *worker = worker_take(state, deadline);
    ipc_put_u8(&body, WORKER_PROBE);
    if (worker != NULL && !worker->is_busy && !worker->is_dead) {
        worker->is_busy = true;
        ssize_t len = send_packet(&worker->handle, str_slice(&body), deadline) ?
                      receive_packet(&worker->handle, packet, WORKER_PACKET, NULL, deadline) : -1;
        worker->is_busy = false;
        if (!is_probed(slice_range(packet, len > 0 ? (size_t)len : 0), arena, results, &count))
            count = 0;
    }
    for (size_t i = 0; i < count; i++)
        (*results)[i].what = arena_printf(arena, "worker: %s", (*results)[i].what);
    if (worker != NULL)
        worker_release(worker);
    str_free(&body);
    free(packet);
    return count;
}

const struct backend_driver cyrus_driver = {
    .probe = cyrus_probe,
    .mechanisms = cyrus_mechanisms,
    .start = cyrus_start,
    .step = cyrus_step,
    .drop = cyrus_drop,
};

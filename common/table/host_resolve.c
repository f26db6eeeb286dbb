/* SPDX-License-Identifier: ISC */
/*
 * host_resolve: getaddrinfo() kept off the event loop. Called by lookup when it connects to a database or for
 * LOOKUP_CONNECT. Needs RIGHT_THREADS. At most a few helper threads at once; one that outlives its caller's
 * deadline frees its own job.
 */
#include "common/table/host_resolve.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "common/table/helper_thread.h"

#define RESOLVE_MAX_THREADS 16

struct resolve_job {
    char *host, *port;
    struct host_addresses addresses;
    const char *error;
    int done_fd;         /* an eventfd; written by the thread */
    atomic_int holders;  /* the thread and the fiber: the last one frees */
};

static atomic_int running_threads;

void host_address_text(const struct host_address *address, char text[HOST_TEXT_SIZE])
{
    if (getnameinfo((const struct sockaddr *)&address->address, address->len, text, HOST_TEXT_SIZE, NULL, 0,
                    NI_NUMERICHOST) != 0)
        snprintf(text, HOST_TEXT_SIZE, "unknown");
}

static const char *ask_library(const char *host, const char *port, int flags, struct host_addresses *addresses)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    addresses->count = 0;
    if (code == EAI_SYSTEM)
        return strerror(errno);
    if (code != 0)
        return gai_strerror(code);
    for (struct addrinfo *one = found; one != NULL && addresses->count < HOST_MAX_ADDRESSES; one = one->ai_next) {
        struct host_address *address = &addresses->list[addresses->count++];
        memcpy(&address->address, one->ai_addr, one->ai_addrlen);
        address->len = one->ai_addrlen;
    }
    freeaddrinfo(found);
    return NULL;
}

static void job_release(struct resolve_job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    close(job->done_fd);
    free(job->host);
    free(job->port);
    free(job);
}

static void *job_run(void *arg)
{
    struct resolve_job *job = arg;
    uint64_t one = 1;
    job->error = ask_library(job->host, job->port, 0, &job->addresses);
    if (write(job->done_fd, &one, sizeof one) != sizeof one)
        job->error = strerror(errno); /* the fiber will time out */
    job_release(job);
    atomic_fetch_sub(&running_threads, 1);
    return NULL;
}

static bool job_start(struct resolve_job *job)
{
    atomic_fetch_add(&running_threads, 1);
    if (helper_thread_start(job_run, job))
        return true;
    atomic_fetch_sub(&running_threads, 1);
    return false;
}

static struct resolve_job *job_new(const char *host, const char *port)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct resolve_job *job = mem_alloc(sizeof *job);
    job->host = mem_strdup(host);
    job->port = mem_strdup(port);
    job->done_fd = fd;
    atomic_init(&job->holders, 2);
    return job;
}

/* The thread's own descriptor stays open until it is done; the fiber waits on a copy. */
static enum wait_status job_wait(struct resolve_job *job, int64_t deadline)
{
    struct fiber_fd handle;
    int copy = dup(job->done_fd);
    if (copy < 0)
        return WAIT_TIMEOUT;
    fiber_fd_init(&handle, copy);
    enum wait_status status = fiber_wait_fd(&handle, FIBER_READ, deadline);
    fiber_fd_close(&handle);
    uint64_t count;
    if (status == WAIT_OK && read(job->done_fd, &count, sizeof count) != sizeof count)
        return WAIT_TIMEOUT;
    return status;
}

static const char *ask_on_thread(const char *host, const char *port, struct host_addresses *addresses,
                                 int64_t deadline)
{
    if (atomic_load(&running_threads) >= RESOLVE_MAX_THREADS)
        return "too many host names are being resolved";
    struct resolve_job *job = job_new(host, port);
    if (job == NULL)
        return strerror(errno);
    if (!job_start(job)) {
        atomic_store(&job->holders, 1);
        job_release(job);
        return "cannot start a thread to resolve a host name";
    }
    const char *error = "timeout while resolving the host name";
    if (job_wait(job, deadline) == WAIT_OK) {
        error = job->error;
        *addresses = job->addresses;
    }
    job_release(job);
    return error;
}

const char *host_resolve(const char *host, const char *port, struct host_addresses *addresses, int64_t deadline)
{
    char literal[HOST_TEXT_SIZE];
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']' && len < sizeof literal) {
        memcpy(literal, host + 1, len - 2);
        literal[len - 2] = '\0';
        return ask_library(literal, port, AI_NUMERICHOST, addresses);
    }
    if (ask_library(host, port, AI_NUMERICHOST, addresses) == NULL)
        return NULL;
    if (fiber_self() == NULL)
        return ask_library(host, port, 0, addresses);
    return ask_on_thread(host, port, addresses, deadline);
}

/* SPDX-License-Identifier: ISC */
/*
 * virtual sync: fsync for many deliveries at once. Whoever asks in one turn of the loop is served at its
 * end; several files of one file system share a syncfs, so that they share the disk's flush too. An error is
 * told to everybody it may concern.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtual/virtual.h"

#define ENOUGH_FOR_SYNCFS 4

struct sync_request {
    int fd;
    dev_t device;
    bool done;
    int error;
    struct fiber_cond finished;
    struct sync_request *next;
};

static struct sync_request *requests;

static size_t requests_on(dev_t device)
{
    size_t count = 0;
    for (struct sync_request *request = requests; request != NULL; request = request->next)
        count += !request->done && request->device == device;
    return count;
}

static void sync_file_system(dev_t device, int fd)
{
    int error = syncfs(fd) < 0 ? errno : 0;
    for (struct sync_request *request = requests; request != NULL; request = request->next) {
        if (request->done || request->device != device)
            continue;
        request->done = true;
        request->error = error;
    }
}

static void sync_run(struct fiber_turn_hook *hook UNUSED)
{
    struct sync_request *request, *next;
    for (request = requests; request != NULL; request = request->next) {
        if (request->done)
            continue;
        if (requests_on(request->device) >= ENOUGH_FOR_SYNCFS) {
            sync_file_system(request->device, request->fd);
        } else {
            request->error = fsync(request->fd) < 0 ? errno : 0;
            request->done = true;
        }
    }
    for (request = requests, requests = NULL; request != NULL; request = next) {
        next = request->next; /* the request lives on its fiber's stack */
        fiber_cond_signal(&request->finished);
    }
}

int sync_shared(int fd)
{
    static struct fiber_turn_hook hook = {.run = sync_run};
    struct sync_request request = {.fd = fd, .next = requests};
    struct stat info;
    if (fiber_self() == NULL || fstat(fd, &info) < 0)
        return fsync(fd) < 0 ? errno : 0;
    request.device = info.st_dev;
    requests = &request;
    fiber_at_turn_end(&hook);
    while (!request.done) {
        /* Cancelled or not, the list must not point to this stack any more when we return. */
        if (fiber_cond_wait(&request.finished, CLOCK_NEVER) != WAIT_OK)
            sync_run(&hook);
    }
    return request.error;
}

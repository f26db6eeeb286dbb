/* SPDX-License-Identifier: ISC */
/* Fuzz target: a channel that receives arbitrary packets from a local client. The input is cut into
 * packets at every 0xfe byte; whatever comes, the channel survives or closes. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_any(struct ipc_channel *channel, struct ipc_message *message)
{
    if (message->id != 0)
        ipc_reply(channel, message->id, message->body, -1);
}

static const struct ipc_rule rules[] = {
    {1, "request", IPC_REQUEST, false, IPC_ANY_STATE, 4096, on_any},
    {2, "notice", IPC_NOTICE, false, IPC_ANY_STATE, 4096, on_any},
    {3, "later", IPC_NOTICE, false, 2, 4096, on_any},
};
static const struct ipc_edge edge = {"fuzz->server", IPC_FROM_CLIENT, rules, 3, NULL};

struct input {
    const uint8_t *data;
    size_t size;
};

static void feed(void *arg)
{
    struct input *input = arg;
    int fds[2];
    ipc_socket_pair(fds);
    (void)ipc_open(&edge, fds[0], NULL);
    size_t start = 0;
    for (size_t i = 0; i <= input->size; i++) {
        if (i < input->size && input->data[i] != 0xfe)
            continue;
        if (i > start && send(fds[1], input->data + start, i - start, MSG_NOSIGNAL) < 0)
            break;
        start = i + 1;
        if (fiber_yield() != WAIT_OK)
            break;
    }
    close(fds[1]);
    while (fiber_count() > 1)
        if (fiber_sleep_until(clock_ms()) != WAIT_OK)
            break;
    fiber_loop_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        int quiet[2];
        if (pipe(quiet) < 0)
            return 0;
        close(quiet[0]);
        log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = quiet[1]});
        fiber_loop_init();
    }
    ready = true;
    struct input input = {data, size};
    fiber_spawn("feed", feed, &input);
    fiber_loop_run();
    return 0;
}

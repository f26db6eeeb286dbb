/* SPDX-License-Identifier: ISC */
/*
 * make_deferred: fills deferred/ of a stopped queue with messages that are due in an hour, for the restart
 * benchmark. Nothing is synced.
 *
 *     make_deferred QUEUE_DIRECTORY COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/queue_protocol.h"
#include "common/spool/layout.h"
#include "common/spool/message_file.h"
#include "common/spool/spool_io.h"

static const char content[] = "Subject: deferred\n\nA message that waits.\n";

static void make_one(int directory, uint32_t serial, int64_t now_us)
{
    static char none[] = "", sender[] = "sender@example.org", to[] = "user@unreachable.example";
    static char block[FILE_CONTENT_OFFSET];
    struct recipient recipient = {.address = to, .original = none, .dsn_original = none};
    struct envelope envelope = {.arrival_us = now_us, .sender = sender, .recipients = &recipient, .recipient_count = 1};
    struct str encoded = STR_EMPTY;
    char path[SPOOL_PATH_SIZE];
    queue_id_make(envelope.queue_id, now_us, serial, false);
    envelope_encode(&envelope, &encoded);
    message_file_header(serial, now_us, sizeof content - 1, frame_hash(SLICE(content)), str_slice(&encoded),
                        (unsigned char *)block);
    spool_path(path, PLACE_DEFERRED, envelope.queue_id, serial);
    struct iovec pieces[] = {{block, sizeof block}, {(void *)(uintptr_t)content, sizeof content - 1}, {encoded.data, encoded.len}};
    int fd = spool_io_create(directory, path, O_WRONLY | O_EXCL);
    if (fd < 0 || spool_io_write(fd, pieces, 3, 0) < 0 || spool_io_set_time(fd, now_us / 1000000 + 3600) < 0 ||
        spool_io_close(fd) < 0)
        log_fatal("%s: %s", path, strerror(errno));
    str_free(&encoded);
}

int main(int argc, char **argv)
{
    const char *failed = "";
    if (argc != 3)
        log_fatal("usage: make_deferred QUEUE_DIRECTORY COUNT");
    int directory = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (directory < 0 || spool_make_directories(directory, &failed) < 0)
        log_fatal("%s/%s: %s", argv[1], failed, strerror(errno));
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
    for (uint32_t i = 0; i < count; i++)
        make_one(directory, 0x10000000u + i, wall_us());
    return 0;
}

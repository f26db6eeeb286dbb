/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the queue role share: a queue in a temporary directory with its neighbours played
 * (queue_peers.h), what commands ask it, its log, and a main() for tests that run on a fiber.
 */
#ifndef POSTHORN_TESTS_QUEUE_SESSION_H
#define POSTHORN_TESTS_QUEUE_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/control_protocol.h"
#include "common/spool/spool_io.h"
#include "queue/role.h"
#include "tests/unit/queue_peers.h"

extern char directory[64];
extern struct ipc_channel *channel, *control;

void wait_ms(int ms);

#define WAIT_UNTIL(condition) \
    do { \
        int64_t give_up = deadline_in_s(10); \
        while (!(condition)) { \
            if (clock_ms() >= give_up) \
                fail_msg("never happened: %s", #condition); \
            wait_ms(2); \
        } \
    } while (0)

bool log_has(const char *text);
void expect_log(const char *queue_id, const char *what);
void connect_control(void);
/* Returns how many messages were changed; id NULL: all. */
unsigned change(uint8_t action, const char *id);
void flush(void);
/* The queue that a message is in, as mailq sees it; 0: nowhere. */
uint8_t listed_in(const char *queue_id, char reason[256]);
void submit(const char *sender, const char *recipients, const char *content, char queue_id[QUEUE_ID_SIZE]);

/* Runs one test on a fiber; the first one starts the queue. */
void queue_session_run(void (*test)(void));
/* cmocka tests made by ENTRY(), and plain ones. */
int queue_session_main(const char *name, const struct CMUnitTest *tests, size_t count);

#define TEST(name) \
    static void run_##name(void **state) { (void)state; queue_session_run(name); }
#define ENTRY(name) cmocka_unit_test(run_##name),

#endif

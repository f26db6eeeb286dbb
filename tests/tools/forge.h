/* SPDX-License-Identifier: ISC */
/* forge: one real role, and somebody in the place of its supervisor and of all its neighbours who does not keep to the rules. */
#ifndef POSTHORN_TESTS_FORGE_H
#define POSTHORN_TESTS_FORGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/str.h"
#include "common/process/role.h"

enum { FLAG_REQUEST = 1, FLAG_REPLY = 2, FLAG_MORE = 4, FLAG_FD = 8 };
enum { PACKET_SIZE = 65536, HEADER_SIZE = 12 };

struct record {
    uint32_t length;
    uint16_t type;
    uint16_t flags;
    uint32_t id;
    const char *body;
};

/* --- the role (forge.c) --- */
extern enum role_id target_role;
extern int target_port; /* of its listening socket */
void target_start(void);
/* A channel to it, on which we are that role, and it asks us or the other way round. */
int target_connect(enum role_id we, bool it_asks);
/* What has become of it. It may have ended by itself (then it is started again), unless it must live. */
void target_judge(const char *edge, const char *attack, bool must_live);
bool target_is_alive(void);

/* --- packets (forge.c) --- */
bool send_raw(int fd, const void *data, size_t len, int passed);
bool send_record(int fd, uint16_t type, uint16_t flags, uint32_t id, struct slice body, int passed);
/* The next record within so many milliseconds; false when none came. *passed is a descriptor or -1 (passed may be NULL). */
bool receive_record(int fd, int ms, struct record *record, int *passed);
void failed(const char *edge, const char *attack, const char *what);
void must(bool is_true, const char *edge, const char *attack, const char *what);

/* --- what is tried --- */
void ask_as_client(enum role_id we);  /* forge_ask.c: we ask, it serves */
void answer_as_servers(void);         /* forge_answer.c: it asks, we serve */

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Between the supervisor and every role: the start record, sent once as the first packet on the channel,
 * and the records that follow it. The supervisor parses what a role says with as little trust as a role
 * parses a client: a malformed record costs that role its life, never the supervisor's.
 */
#ifndef POSTHORN_PROCESS_MASTER_PROTOCOL_H
#define POSTHORN_PROCESS_MASTER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

/* Numbered descriptors of a fresh role. Everything else is closed. */
enum role_descriptor {
    ROLE_FD_CHANNEL = 3,
    ROLE_FD_CONFIG = 4,
    ROLE_FD_LOG = 5,            /* open on /dev/null when there is no log yet */
    ROLE_FD_FIRST_LISTENER = 6,
};

#define ROLE_LISTENER_LIMIT 512   /* of one service */
#define MASTER_FILES_LIMIT (16 * 1024 * 1024) /* bytes of a MASTER_FILES record */
#define MASTER_RECORD_LIMIT 65536 /* bytes of the start record and of any record between master and role */

enum master_record {
    /* master -> role */
    MASTER_PEER = 1,   /* notice  {u8 role, text service, bool is_client} + descriptor of a channel */
    MASTER_RELOAD = 2, /* notice  {} + descriptor of the new configuration */
    MASTER_DRAIN = 3,  /* notice  {} */
    MASTER_LOG = 4,    /* notice  {u8 sink} + descriptor */
    MASTER_PROBE = 5,  /* request {} -> {u32 n, n * {text what, u32 errno}}: what the sandbox lets through */
    /* To a role that may not open the files it needs (keys): what they are for, each file, and that all were sent. */
    MASTER_FILES = 7,     /* notice {bytes} */
    MASTER_FILE = 8,      /* notice {text path, u32 errno} + descriptor; of /dev/null when errno is not 0 */
    MASTER_FILES_END = 9, /* notice {} */
    MASTER_EXPLAIN = 6, /* request {what role->explain understands} -> {its answer} */
    /* role -> master */
    MASTER_READY = 16,    /* notice {}: it serves */
    MASTER_LOG_LOST = 17, /* notice {}: its log takes no more lines */
};

/* Where the lines of a role go (enum log_sink of common/base/log.h), and who it becomes. */
struct start_record {
    uint8_t role; /* enum role_id */
    char *service;
    uint8_t log_sink;
    bool has_log;   /* ROLE_FD_LOG is a log */
    bool verbose;
    bool drop_ids;  /* become uid and gid; otherwise the caller's ids stay */
    uint32_t uid;
    uint32_t gid;
    char *empty_root; /* directory to chroot into when the role wants it; "" for none */
    char **listeners; /* "inet:127.0.0.1:2525", "unix:public/showq": ROLE_FD_FIRST_LISTENER and up */
    size_t listener_count;
};

void start_record_encode(const struct start_record *record, struct str *out);
/* Pure; false for anything but exactly one well-formed record. Texts live in the arena. */
bool start_record_decode(struct slice body, struct arena *arena, struct start_record *record) MUST_CHECK;

struct peer_record {
    uint8_t role;   /* enum role_id of the peer */
    char *service;  /* the peer's */
    bool is_client; /* the receiver is the client of the peer: it asks, the peer answers */
};

void peer_record_encode(const struct peer_record *record, struct str *out);
bool peer_record_decode(struct slice body, struct arena *arena, struct peer_record *record) MUST_CHECK;

/* What a role tried from inside its sandbox, and the errno of each try (0: it worked). */
struct probe_result {
    char *what;
    uint32_t error;
};

void probe_results_encode(const struct probe_result *results, size_t count, struct str *out);
bool probe_results_decode(struct slice body, struct arena *arena, struct probe_result **results,
                          size_t *count) MUST_CHECK;

#endif

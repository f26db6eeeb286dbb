/* SPDX-License-Identifier: ISC */
/*
 * Records between roles and `state`, the server's small memory: what must outlive a session and a restart but is no
 * mail (address verification, postscreen's allow list, counters of logins). Losing the last second of it is harmless.
 *
 * A store is a name ("verify", "postscreen", "login") of at most STATE_STORE_LIMIT lowercase letters, digits, '-' and
 * '_'; keys and values are bytes of at most STATE_KEY_LIMIT and STATE_VALUE_LIMIT. What has expired is not found.
 */
#ifndef POSTHORN_STATE_STATE_PROTOCOL_H
#define POSTHORN_STATE_STATE_PROTOCOL_H

#include "common/process/ipc_codec.h"

#define STATE_STORE_LIMIT 24
#define STATE_KEY_LIMIT 400
#define STATE_VALUE_LIMIT 4096
#define STATE_WINDOW_LIMIT 4
#define STATE_WINDOW_LONGEST (400u * 86400) /* seconds */
#define STATE_RECORD_LIMIT 8192

enum state_record {
    STATE_GET = 1,    /* request {text store, text key}                                   -> {u8 found, bytes value} */
    STATE_PUT = 2,    /* notice  {text store, text key, bytes value, u32 lifetime_s} */
    /* Adds `amount` to the key's count in each window, unless that would exceed a limit (0: none) in one of them; then
     * nothing is added. Windows slide. amount 0 only asks. -> {u8 exceeded: 0, or 1 + index of the window; n * u32 count} */
    STATE_CHARGE = 4, /* request {text store, text key, u32 amount, u8 n, n * {u32 window_s, u32 limit}} */
    STATE_TURN = 5,   /* request {struct turn_question}: may this attempt begin?        -> {struct turn} (turnstile.h) */
    STATE_SETTLE = 6, /* notice  {struct turn_question}: what became of it */
};

struct state_window {
    uint32_t seconds;
    uint32_t limit; /* 0: none */
    uint32_t count; /* out: what the window holds now */
};

/* What GET, PUT and CHARGE ask; each uses only its own fields. */
struct state_question {
    char *store, *key;
    struct slice value;  /* PUT; decoded: borrowed from the body */
    uint32_t lifetime_s; /* PUT */
    uint32_t amount;     /* CHARGE */
    uint8_t window_count;
    struct state_window windows[STATE_WINDOW_LIMIT];
};

#define TURN_SOURCE_LIMIT 64
#define TURN_SUBJECT_LIMIT 300
#define TURN_LONGEST_MS (86400u * 1000)

enum turn_outcome { TURN_FAILED = 0, TURN_GIVEN_UP = 1, TURN_SUCCEEDED = 2 }; /* given up: nobody knows what it would have been */
enum turn_refusal { TURN_GRANTED = 0, TURN_SOURCE = 1, TURN_SUBJECT = 2 };

/* An attempt of a source (where it comes from) at a subject ("" when that is not known). */
struct turn_question {
    char *store, *source, *subject;
    uint32_t first_ms, longest_ms, window_s;
    bool is_known;   /* SETTLE: as TURN answered */
    uint8_t outcome; /* SETTLE: enum turn_outcome */
};

struct turn {
    uint8_t refused_by; /* enum turn_refusal: whose line is too long */
    bool is_known;      /* this source has reached this subject before */
    uint32_t wait_ms;   /* until it may begin */
};

/* True when the store, key, value and windows keep to the limits above. */
bool state_question_is_valid(enum state_record type, const struct state_question *question) MUST_CHECK;
void state_question_encode(enum state_record type, const struct state_question *question, struct str *out);
/* False: malformed, or beyond a limit. */
bool state_question_decode(enum state_record type, struct slice body, struct arena *arena,
                           struct state_question *question) MUST_CHECK;

void state_value_encode(bool found, struct slice value, struct str *out);
/* *value is borrowed from the body. */
bool state_value_decode(struct slice body, bool *found, struct slice *value) MUST_CHECK;
/* Fills in the counts; exceeded as in CHARGE. */
void state_counts_encode(uint8_t exceeded, const struct state_window *windows, unsigned count, struct str *out);
bool state_counts_decode(struct slice body, uint8_t *exceeded, struct state_window *windows, unsigned count) MUST_CHECK;

bool turn_question_is_valid(const struct turn_question *question) MUST_CHECK;
void turn_question_encode(const struct turn_question *question, struct str *out);
/* False: malformed, or beyond a limit. */
bool turn_question_decode(struct slice body, struct arena *arena, struct turn_question *question) MUST_CHECK;
void turn_encode(const struct turn *turn, struct str *out);
bool turn_decode(struct slice body, struct turn *turn) MUST_CHECK;

#endif

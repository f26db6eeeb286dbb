/* SPDX-License-Identifier: ISC */
/*
 * One line of Dovecot's authentication client protocol (its design documents: "auth-protocol"), from bytes to a struct. Pure;
 * fuzzed. Fields are separated by tabs; inside them \001 escapes what a line cannot hold.
 */
#ifndef POSTHORN_AUTH_DOVECOT_LINE_H
#define POSTHORN_AUTH_DOVECOT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

enum dovecot_word {
    DOVECOT_OTHER, /* a word that this version does not know: to be ignored */
    DOVECOT_VERSION, DOVECOT_MECH, DOVECOT_SPID, DOVECOT_DONE,
    DOVECOT_OK, DOVECOT_FAIL, DOVECOT_CONT,
};

struct dovecot_line {
    enum dovecot_word word;
    uint32_t id;            /* OK, FAIL, CONT; VERSION: the major number */
    uint32_t minor;         /* VERSION */
    uint32_t traits;        /* MECH: enum sasl_trait */
    const char *mechanism;  /* MECH */
    const char *user;       /* OK, FAIL; "" when it is not said, or is no name */
    const char *reason;     /* FAIL; "" when it is not said */
    const char *challenge;  /* CONT: base64 */
    bool is_temporary;      /* FAIL: the service's fault, not the client's */
};

/* False: malformed. Texts live in the arena. */
bool dovecot_line_parse(struct slice line, struct arena *arena, struct dovecot_line *parsed) MUST_CHECK;

/* Appends a value with what would end a field or line escaped. */
void dovecot_escape(struct slice value, struct str *out);

#endif

/* SPDX-License-Identifier: ISC */
/* The value of a header_checks(5) or body_checks table: an action and its text. Pure. */
#ifndef POSTHORN_CLEANUP_CHECK_ACTION_H
#define POSTHORN_CLEANUP_CHECK_ACTION_H

#include <stdbool.h>

#include "common/base/str.h"

enum check_verb {
    CHECK_DUNNO, CHECK_BCC, CHECK_DISCARD, CHECK_FILTER, CHECK_HOLD, CHECK_IGNORE, CHECK_INFO, CHECK_PASS, CHECK_PREPEND,
    CHECK_REDIRECT, CHECK_REJECT, CHECK_REPLACE, CHECK_STRIP, CHECK_WARN,
    CHECK_BROKEN, /* no action: `complaint` says why, and the line passes */
};

struct check_action {
    enum check_verb verb;
    struct slice text;  /* behind the verb, or SLICE("") */
};

/*
 * value: as the table gave it. map: "header_checks", for complaints. is_header: what a header's check may put in must be
 * a header, too. A complaint (without queue id, a warning) is appended; some actions go on in spite of one.
 */
void check_action_parse(const char *value, const char *map, bool is_header, struct check_action *action,
                        struct str *complaint);

/*
 * "5.7.1 text" of a REJECT: the enhanced status that the text begins with, or 5.7.1. *is_deferral: its class is 4.
 * Appends a complaint about a status of another class.
 */
void check_reject_reason(struct slice text, struct str *reason, bool *is_deferral, struct str *complaint);

#endif

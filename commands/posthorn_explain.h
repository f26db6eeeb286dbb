/* SPDX-License-Identifier: ISC */
/* What the files of "posthorn explain" share: the question, the service it goes to, and what came back. */
#ifndef POSTHORN_COMMANDS_POSTHORN_EXPLAIN_H
#define POSTHORN_COMMANDS_POSTHORN_EXPLAIN_H

#include <stdio.h>

#include "commands/posthorn_check.h"
#include "common/access/explain_protocol.h"

enum explain_outcome { OUTCOME_ACCEPT = 0, OUTCOME_REJECT = 1, OUTCOME_DEFER = 2 };

struct explain {
    struct check check; /* the configuration as its services see it, and where words are written */
    struct explain_request request;
    const struct check_view *view;
    const char *service; /* as the supervisor calls it */
    bool is_live;
    struct trace_event *events;
    size_t count;
    /* Found in the events: */
    enum explain_outcome outcome;
    const char *command; /* the last one that the client got to say */
    const char *reply;   /* and the reply to it */
    const struct trace_event *decider; /* TRACE_WORD; NULL: no restriction decided */
};

/* A logged refusal or message: what it says about the client. Texts "" when it does not say. Pure. */
struct explain_logged {
    char *process; /* "postfix/submission/smtpd" */
    char *queue_id;
    char *name, *address, *sender, *recipient, *helo, *login;
    bool is_refusal;
};
bool explain_parse_log_line(struct slice line, struct arena *arena, struct explain_logged *logged) MUST_CHECK;
/* Fills the request's empty fields from a log line, or from the lines of a queue id in a log file (NULL: the usual one). False,
 * with a message printed, when nothing is found. *process as above. */
bool explain_read_log(struct explain *explain, const char *what, const char *file, const char **process) MUST_CHECK;

/* Asks the running server, or a private copy of the service. False with a message printed. */
bool explain_ask(struct explain *explain) MUST_CHECK;

void explain_find_decision(struct explain *explain);
/* Where a TRACE_WORD is written; no file when that cannot be told. */
struct config_origin explain_locate(struct explain *explain, const struct trace_event *word);
/* What somebody who wants another answer would change, or "". In the arena. */
const char *explain_advice(struct explain *explain);
void explain_print_text(struct explain *explain, FILE *out);
void explain_print_json(struct explain *explain, FILE *out);

#endif

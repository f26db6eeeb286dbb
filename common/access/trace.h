/* SPDX-License-Identifier: ISC */
/*
 * A trace tells how a policy came to its answer: which lists ran, which restrictions, what they asked whom, what was
 * answered, and what followed. Whoever evaluates a restriction emits events; they go nowhere unless the running fiber
 * has a trace (posthorn explain, smtpd_policy_trace). Without any trace in the process an event costs one comparison.
 */
#ifndef POSTHORN_ACCESS_TRACE_H
#define POSTHORN_ACCESS_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

enum trace_kind {
    TRACE_COMMAND = 1, /* text: what the client says; only in explanations */
    TRACE_REPLY = 2,   /* text: a line of the server's reply to it */
    TRACE_LIST = 3,    /* name: the parameter, class or table that lists restrictions */
    TRACE_WORD = 4,    /* name: the list, text: the restriction with its argument, nth: how many equal words stand before it */
    TRACE_INPUT = 5,   /* name: who was asked ("DNS", "table", ...), text: the question, result: the answer */
    TRACE_VERDICT = 6, /* name: "permit", "reject", ... text: the reply or "" */
    TRACE_LOG = 7,     /* text: a line that the server would log */
    TRACE_NOTE = 8,    /* text */
};

struct trace_event {
    uint8_t kind;  /* enum trace_kind */
    uint8_t depth; /* nested lists */
    uint16_t nth;
    const char *name, *text, *result; /* never NULL */
};

struct trace {
    void (*take)(struct trace *trace, const struct trace_event *event); /* copies what it keeps */
    void *context;
    uint8_t depth;
    bool takes_log; /* the fiber's log lines are events and nothing else */
};

/* From now on the running fiber's events go to this trace; NULL: nowhere. */
void trace_attach(struct trace *trace);
/* Has the log show its lines to traces that want them. Once per process. */
void trace_watch_log(void);
/* The running fiber's trace, or NULL. */
struct trace *trace_current(void);

void trace_input(const char *whom, const char *question, const char *fmt, ...) PRINTF_LIKE(3, 4);
void trace_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
void trace_emit(enum trace_kind kind, uint16_t nth, const char *name, const char *text);

#endif

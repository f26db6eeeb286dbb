/* SPDX-License-Identifier: ISC */
/* trace: finds the running fiber's trace and gives it what happens. */
#include "common/access/trace.h"

#include <stdarg.h>

#include "common/base/fiber.h"
#include "common/base/log.h"

static unsigned attached; /* fibers that have a trace */

void trace_attach(struct trace *trace)
{
    attached += (trace != NULL) - (fiber_local() != NULL);
    fiber_set_local(trace);
}

struct trace *trace_current(void)
{
    return attached > 0 ? fiber_local() : NULL;
}

static void give(enum trace_kind kind, uint16_t nth, const char *name, const char *text, const char *result)
{
    struct trace *trace = fiber_local();
    const struct trace_event event = {(uint8_t)kind, trace->depth, nth, name, text, result};
    trace->take(trace, &event);
}

void trace_emit(enum trace_kind kind, uint16_t nth, const char *name, const char *text)
{
    if (trace_current() != NULL)
        give(kind, nth, name, text, "");
}

void trace_input(const char *whom, const char *question, const char *fmt, ...)
{
    if (trace_current() == NULL)
        return;
    struct str result = STR_EMPTY;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&result, fmt, args);
    va_end(args);
    give(TRACE_INPUT, 0, whom, question, str_text(&result));
    str_free(&result);
}

void trace_note(const char *fmt, ...)
{
    if (trace_current() == NULL)
        return;
    struct str text = STR_EMPTY;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    give(TRACE_NOTE, 0, "", str_text(&text), "");
    str_free(&text);
}

static bool take_log_line(const char *label, const char *text)
{
    struct trace *trace = trace_current();
    if (trace == NULL || !trace->takes_log)
        return false;
    give(TRACE_LOG, 0, label, text, "");
    return true;
}

void trace_watch_log(void)
{
    log_set_filter(take_log_line);
}

/* SPDX-License-Identifier: ISC */
/*
 * delivery_report: results and log lines of a delivery. Used by every delivery agent; the queue uses the
 * formatting for recipients that it decides itself. Needs no rights; cannot fail.
 */
#include "common/mail/delivery_report.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/quote.h"

#define SECOND 1000000

/* --- delays ------------------------------------------------------------------- */

/* Five numbers a line, a line a delivery: printf is a tenth of a delivery agent's time. */
static void append_number(struct str *out, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    str_append_bytes(out, digits + at, sizeof digits - at);
}

void delivery_format_delay(struct str *out, int64_t microseconds, unsigned resolution)
{
    if (microseconds < 0)
        microseconds = 0;
    int64_t seconds = microseconds / SECOND;
    int64_t fraction = microseconds % SECOND;
    int64_t unit = SECOND; /* what is smaller is rounded away */
    for (unsigned i = 0; i < resolution && i < 6; i++)
        unit /= 10;
    if (seconds > 0 && unit < SECOND)
        unit = seconds >= 10 ? SECOND : SECOND / 10;
    while (seconds == 0 && unit < SECOND && fraction >= 100 * unit)
        unit *= 10;
    if (unit > 1)
        fraction += unit / 2;
    seconds += fraction / SECOND;
    fraction %= SECOND;
    fraction -= fraction % unit;
    append_number(out, seconds);
    if (fraction > 0)
        str_append_char(out, '.');
    for (int64_t digit = SECOND / 10; fraction > 0; digit /= 10) {
        str_append_char(out, (char)('0' + fraction / digit));
        fraction %= digit;
    }
}

void delivery_format_delays(struct str *out, const struct delivery_times *times, unsigned resolution)
{
    int64_t before = times->done - times->arrival;
    int64_t queued = 0, setup = 0, transfer = 0;
    if (times->active != 0) {
        before = times->active - times->arrival;
        if (times->handoff == 0) {
            queued = times->done - times->active;
        } else {
            queued = times->handoff - times->active;
            setup = times->setup != 0 ? times->setup - times->handoff : 0;
            transfer = times->done - (times->setup != 0 ? times->setup : times->handoff);
        }
    }
    str_append(out, ", delay=");
    delivery_format_delay(out, times->done - times->arrival, resolution);
    str_append(out, ", delays=");
    delivery_format_delay(out, before, resolution);
    str_append_char(out, '/');
    delivery_format_delay(out, queued, resolution);
    str_append_char(out, '/');
    delivery_format_delay(out, setup, resolution);
    str_append_char(out, '/');
    delivery_format_delay(out, transfer, resolution);
}

void delivery_format_line(struct str *out, const char *queue_id, const struct recipient *to, const char *relay,
                          unsigned uses, const struct delivery_times *times, unsigned resolution,
                          const char *dsn, const char *status, const char *reason)
{
    str_append(out, queue_id);
    str_append(out, ": to=<");
    quote_append_address(out, to->address);
    str_append_char(out, '>');
    if (to->original[0] != '\0' && !text_equal_nocase(to->original, to->address)) {
        str_append(out, ", orig_to=<");
        quote_append_address(out, to->original);
        str_append_char(out, '>');
    }
    str_append(out, ", relay=");
    str_append(out, relay);
    if (uses > 0)
        str_printf(out, ", conn_use=%u", uses + 1);
    delivery_format_delays(out, times, resolution);
    str_append(out, ", dsn=");
    str_append(out, dsn);
    str_append(out, ", status=");
    str_append(out, status);
    str_append(out, " (");
    str_append(out, reason);
    str_append_char(out, ')');
}

const char *delivery_probe_word(bool accepted, bool failures_are_kept)
{
    return accepted ? "deliverable" : failures_are_kept ? "undeliverable" : "undeliverable-but-not-cached";
}

/* --- results ---------------------------------------------------------------------- */

void delivery_report_start(struct delivery_report *report, const struct delivery *delivery,
                           struct arena *arena)
{
    *report = (struct delivery_report){.delivery = delivery, .arena = arena, .relay = "none", .resolution = 2};
    report->results = arena_alloc_array(arena, delivery->recipient_count, sizeof(struct recipient_result));
    report->undecided = delivery->recipient_count;
    report->times.arrival = delivery->envelope.arrival_us;
    report->times.active = delivery->active_us;
    report->times.handoff = wall_us();
    for (size_t i = 0; i < delivery->recipient_count; i++)
        report->results[i].index = delivery->recipients[i].index;
}

bool delivery_report_is_decided(const struct delivery_report *report, size_t index)
{
    return report->results[index].reason != NULL;
}

static void delivery_report_log(const struct delivery_report *report, size_t index, const char *status)
{
    static struct str line;
    const struct recipient_result *result = &report->results[index];
    str_clear(&line);
    delivery_format_line(&line, report->delivery->envelope.queue_id, &report->delivery->recipients[index].to,
                         report->relay, report->uses, &report->times, report->resolution, result->dsn, status,
                         result->reason);
    log_info("%s", str_text(&line));
}

void delivery_report_one(struct delivery_report *report, size_t index, const char *dsn, const char *reason,
                         const char *remote_host, const char *diagnostic)
{
    struct recipient_result *result = &report->results[index];
    if (result->reason != NULL)
        log_panic("%s: a recipient is decided twice", report->delivery->envelope.queue_id);
    const char *status = "sent";
    bool is_probe = (report->delivery->envelope.flags & ENVELOPE_PROBE) != 0;
    bool soft_bounce = report->soft_bounce && !is_probe;
    result->status = DELIVERY_SENT;
    result->dsn = arena_strdup(report->arena, dsn);
    result->reason = arena_strdup(report->arena, reason);
    result->remote_host = arena_strdup(report->arena, remote_host != NULL ? remote_host : "");
    result->diagnostic = arena_strdup(report->arena, diagnostic != NULL ? diagnostic : "");
    if (dsn[0] == '4') {
        status = "deferred";
        result->status = DELIVERY_DEFERRED;
    } else if (dsn[0] != '2') {
        status = soft_bounce ? "SOFTBOUNCE" : "bounced";
        result->status = soft_bounce ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
        if (soft_bounce)
            result->dsn[0] = '4';
    }
    result->dsn_relayed = result->status == DELIVERY_SENT && report->server_has_dsn;
    report->undecided--;
    report->times.done = wall_us();
    if (is_probe)
        status = delivery_probe_word(result->status == DELIVERY_SENT, report->keeps_failures);
    delivery_report_log(report, index, status);
}

void delivery_report_rest(struct delivery_report *report, const char *dsn, const char *reason,
                          const char *remote_host, const char *diagnostic)
{
    for (size_t i = 0; i < report->delivery->recipient_count; i++) {
        if (!delivery_report_is_decided(report, i))
            delivery_report_one(report, i, dsn, reason, remote_host, diagnostic);
    }
}

void delivery_report_corrupt(struct delivery_report *report)
{
    log_warning("%s: message content does not match its checksum", report->delivery->envelope.queue_id);
    for (size_t i = 0; i < report->delivery->recipient_count; i++) {
        struct recipient_result *result = &report->results[i];
        if (result->reason != NULL)
            continue;
        result->status = DELIVERY_CORRUPT;
        result->dsn = arena_strdup(report->arena, "4.3.0");
        result->reason = arena_strdup(report->arena, "queue file is damaged");
        result->remote_host = result->diagnostic = arena_strdup(report->arena, "");
        report->undecided--;
    }
}

void delivery_report_encode(const struct delivery_report *report, const char *unreachable, struct str *out)
{
    struct delivery_result result = {
        .recipients = report->results,
        .recipient_count = report->delivery->recipient_count,
        .host_unreachable = unreachable != NULL,
        .reason = (char *)(unreachable != NULL ? unreachable : ""),
    };
    if (report->undecided != 0)
        log_panic("%s: %zu recipients have no result", report->delivery->envelope.queue_id, report->undecided);
    delivery_result_encode(&result, out);
}

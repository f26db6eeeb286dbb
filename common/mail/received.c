/* SPDX-License-Identifier: ISC */
/* received: trace and stamps. Called once a message by the servers that take mail in, and for bounces. */
#include "common/mail/received.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const char *mail_date(int64_t wall_seconds, char date[MAIL_DATE_SIZE])
{
    static int64_t cached_second = -1; /* busy servers ask many times a second; localtime is not free */
    static char cached[MAIL_DATE_SIZE];
    if (wall_seconds != cached_second) {
        time_t when = (time_t)wall_seconds;
        struct tm parts;
        localtime_r(&when, &parts);
        long offset = parts.tm_gmtoff / 60;
        long size = offset < 0 ? -offset : offset;
        snprintf(cached, sizeof cached, "%s, %d %s %04d %02d:%02d:%02d %c%02ld%02ld (%.8s)", days[parts.tm_wday],
                 parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, offset < 0 ? '-' : '+', size / 60, size % 60, parts.tm_zone);
        cached_second = wall_seconds;
    }
    memcpy(date, cached, MAIL_DATE_SIZE);
    return date;
}

/* A name inside a comment must not end it. */
static void append_comment(const char *text, struct str *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '(' || *text == ')' || *text == '\\')
            str_append_char(out, '\\');
        str_append_char(out, *text);
    }
}

void received_append(const struct received_line *line, struct str *out)
{
    char date[MAIL_DATE_SIZE];
    const char *family = strchr(line->client_address, ':') != NULL ? "IPv6:" : "";
    mail_date(line->wall_seconds, date);
    str_append(out, "Received: ");
    if (!line->hide_client)
        str_printf(out, "from %s (%s [%s%s])\n\t", line->helo_name != NULL ? line->helo_name : line->client_name,
                   line->client_name, family, line->client_address);
    if (line->encryption != NULL && !line->hide_client)
        str_printf(out, "%s\n\t", line->encryption);
    if (line->login != NULL && !line->hide_client) {
        str_append(out, "(Authenticated sender: ");
        append_comment(line->login, out);
        str_append(out, ")\n\t");
    }
    str_printf(out, "by %s (%s)", line->my_hostname, line->mail_name);
    if (!line->hide_client)
        str_printf(out, " with %s", line->protocol);
    if (line->queue_id[0] != '\0') /* what goes to a filter has none yet */
        str_printf(out, " id %s", line->queue_id);
    if (line->only_recipient != NULL)
        str_printf(out, "\n\tfor <%s>; %s\n", line->only_recipient, date);
    else
        str_printf(out, ";\n\t%s\n", date);
}

void message_id_append(int64_t wall_seconds, const char *queue_id, const char *my_hostname, struct str *out)
{
    time_t when = (time_t)wall_seconds;
    struct tm parts;
    gmtime_r(&when, &parts);
    str_printf(out, "<%04d%02d%02d%02d%02d%02d.%s@%s>", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
               parts.tm_hour, parts.tm_min, parts.tm_sec, queue_id, my_hostname);
}

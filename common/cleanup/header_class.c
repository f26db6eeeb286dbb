/* SPDX-License-Identifier: ISC */
/* header_class: the headers that are known by name, as header_checks(5) and canonical(5) group them. Pure. */
#include "common/cleanup/header_class.h"

static const struct {
    struct slice name;
    unsigned class;
} known[] = {
    {SLICE("Apparently-To"), HEADER_RECIPIENT},
    {SLICE("Bcc"), HEADER_RECIPIENT},
    {SLICE("Cc"), HEADER_RECIPIENT},
    {SLICE("Content-Description"), HEADER_MIME},
    {SLICE("Content-Disposition"), HEADER_MIME},
    {SLICE("Content-ID"), HEADER_MIME},
    {SLICE("Content-Transfer-Encoding"), HEADER_MIME | HEADER_ENCODING},
    {SLICE("Content-Type"), HEADER_MIME | HEADER_CONTENT_TYPE},
    {SLICE("Disposition-Notification-To"), HEADER_SENDER},
    {SLICE("Errors-To"), HEADER_SENDER},
    {SLICE("From"), HEADER_SENDER},
    {SLICE("Mail-Followup-To"), HEADER_SENDER},
    {SLICE("Message-Id"), HEADER_MESSAGE_ID},
    {SLICE("MIME-Version"), HEADER_MIME},
    {SLICE("Received"), HEADER_RECEIVED},
    {SLICE("Reply-To"), HEADER_SENDER},
    {SLICE("Resent-Bcc"), HEADER_RECIPIENT},
    {SLICE("Resent-Cc"), HEADER_RECIPIENT},
    {SLICE("Resent-From"), HEADER_SENDER},
    {SLICE("Resent-Message-Id"), HEADER_RESENT_MESSAGE_ID},
    {SLICE("Resent-Reply-To"), HEADER_RECIPIENT},
    {SLICE("Resent-Sender"), HEADER_SENDER},
    {SLICE("Resent-To"), HEADER_RECIPIENT},
    {SLICE("Return-Path"), HEADER_SENDER},
    {SLICE("Return-Receipt-To"), HEADER_SENDER},
    {SLICE("Sender"), HEADER_SENDER},
    {SLICE("To"), HEADER_RECIPIENT},
};

unsigned header_class_find(struct slice name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_equal_nocase(known[i].name, name))
            return known[i].class;
    return 0;
}

size_t header_name_length(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] != ':' && line.data[len] > ' ' && line.data[len] < 127)
        len++;
    size_t colon = len;
    while (colon < line.len && (line.data[colon] == ' ' || line.data[colon] == '\t'))
        colon++;
    return len > 0 && colon < line.len && line.data[colon] == ':' ? len : 0;
}

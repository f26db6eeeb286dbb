/* SPDX-License-Identifier: ISC */
/* What a server says it can do, in its reply to EHLO or LHLO. Pure; fuzzed with the replies. */
#ifndef POSTHORN_SMTP_CLIENT_CAPABILITIES_H
#define POSTHORN_SMTP_CLIENT_CAPABILITIES_H

#include <stdint.h>

#include "common/base/str.h"

enum smtp_capability {
    SMTP_CAN_PIPELINE = 1 << 0,   /* RFC 2920 */
    SMTP_CAN_8BITMIME = 1 << 1,   /* RFC 6152 */
    SMTP_CAN_SIZE = 1 << 2,       /* RFC 1870 */
    SMTP_CAN_DSN = 1 << 3,        /* RFC 3461 */
    SMTP_CAN_SMTPUTF8 = 1 << 4,   /* RFC 6531 */
    SMTP_CAN_STATUSCODES = 1 << 5,/* RFC 2034 */
    SMTP_CAN_STARTTLS = 1 << 6,   /* RFC 3207 */
    SMTP_CAN_CHUNKING = 1 << 7,   /* RFC 3030 */
    SMTP_CAN_XFORWARD = 1 << 8,
    SMTP_CAN_AUTH = 1 << 9,       /* RFC 4954 */
};

struct smtp_capabilities {
    unsigned flags;      /* enum smtp_capability */
    uint64_t size_limit; /* largest message; 0: unknown or none */
};

/* text: all lines of the reply with '\n' between them; the first is the greeting. ignore: flags that count
 * as not offered. A SIZE that is no number is ignored, as the server's limit is only advice. */
void smtp_capabilities_parse(struct slice text, unsigned ignore, struct smtp_capabilities *capabilities);

/* The flags named in a list such as lmtp_discard_lhlo_keywords. *silent tells of "silent-discard";
 * a name nobody knows goes to *unknown (empty when all were fine). */
unsigned smtp_capabilities_from_words(const char *words, bool *silent, struct slice *unknown);

#endif

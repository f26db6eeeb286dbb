/* SPDX-License-Identifier: ISC */
/* smtpd_dns_reply_filter: which records of an answer count. */
#ifndef POSTHORN_ACCESS_DNS_FILTER_H
#define POSTHORN_ACCESS_DNS_FILTER_H

#include "common/dns/dns_protocol.h"

/* Takes out the records that the tables say to ignore. Nothing left: DNS_FILTERED. A table failed: DNS_TEMPORARY. */
void dns_filter(const char *maps, const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer);

#endif

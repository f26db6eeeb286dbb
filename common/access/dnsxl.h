/* SPDX-License-Identifier: ISC */
/* The argument of reject_rbl_client and its kind: "list.example", "list.example=127.0.0.[2..11;14]". Pure. */
#ifndef POSTHORN_ACCESS_DNSXL_H
#define POSTHORN_ACCESS_DNSXL_H

#include <stdbool.h>

#include "common/base/str.h"

struct dnsxl_list {
    struct slice domain;
    struct slice filter; /* data NULL: any answer counts */
};

/* False: the filter is malformed. */
bool dnsxl_parse(const char *text, struct dnsxl_list *list) MUST_CHECK;
/* Is the filter well-formed? */
bool dnsxl_filter_is_valid(struct slice filter);
/* Does an answer ("127.0.0.2") count? */
bool dnsxl_filter_matches(struct slice filter, const char *address);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Which of postscreen(8)'s tests a client has still to take, and the record of those it has passed, in Postfix's form: one
 * time stamp (seconds since 1970) a test, "1700000000;1700000000;1;1;1". Pure.
 */
#ifndef POSTHORN_SERVICE_POSTSCREEN_TESTS_H
#define POSTHORN_SERVICE_POSTSCREEN_TESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

enum postscreen_test { TEST_PREGREET, TEST_DNSBL, TEST_PIPELINING, TEST_NON_SMTP, TEST_BARE_NEWLINE, TEST_COUNT };
#define TEST_BIT(test) (1u << (test))
#define EARLY_TESTS (TEST_BIT(TEST_PREGREET) | TEST_BIT(TEST_DNSBL))
#define DEEP_TESTS (TEST_BIT(TEST_PIPELINING) | TEST_BIT(TEST_NON_SMTP) | TEST_BIT(TEST_BARE_NEWLINE))

/* Stamps that are no time. */
#define STAMP_NEW 0      /* never passed */
#define STAMP_DISABLED 1 /* never passed, and not asked for when it was written */

struct postscreen_stamps {
    int64_t expires_s[TEST_COUNT];
};

/* Fields that a record lacks count as disabled then. */
void postscreen_stamps_parse(struct slice record, struct postscreen_stamps *stamps);
/* Tests that are not enabled and were never passed are written as disabled. */
void postscreen_stamps_print(const struct postscreen_stamps *stamps, unsigned enabled, struct str *record);
/* The enabled tests whose result is no longer good at this time. */
unsigned postscreen_stamps_todo(const struct postscreen_stamps *stamps, unsigned enabled, int64_t now_s);
/* True when some test was never passed: "PASS NEW". */
bool postscreen_stamps_are_new(const struct postscreen_stamps *stamps);
/* When the record may be forgotten: its last result has expired. */
int64_t postscreen_stamps_last(const struct postscreen_stamps *stamps);

/* --- postscreen_dnsbl_sites -------------------------------------------------------------------- */

/* "list.example=127.0.0.[2..11]*3". */
struct postscreen_site {
    struct slice domain, filter; /* filter.data NULL: any answer */
    int weight;                  /* negative: lets through */
};
bool postscreen_site_parse(const char *text, struct postscreen_site *site) MUST_CHECK;

#endif

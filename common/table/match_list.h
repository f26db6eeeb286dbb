/* SPDX-License-Identifier: ISC */
/*
 * Lists that a name is in or not: mydestination, relay_domains, virtual_mailbox_domains ... Elements are names,
 * "!name", "/file", "type:table"; the first that matches decides.
 */
#ifndef POSTHORN_TABLE_MATCH_LIST_H
#define POSTHORN_TABLE_MATCH_LIST_H

#include "common/table/table.h"

struct match_list;

enum match_style {
    MATCH_STRING,         /* the whole name */
    MATCH_DOMAIN,         /* ".example.com" matches what is below it */
    MATCH_DOMAIN_PARENTS, /* "example.com" matches what is below it (parent_domain_matches_subdomains) */
};

enum match_status { MATCH_YES, MATCH_NO, MATCH_ERROR };

/* title: the parameter, for warnings. A file that cannot be read makes every match MATCH_ERROR. */
struct match_list *match_list_open(const char *title, const char *text, enum match_style style,
                                   const struct config *config);
void match_list_close(struct match_list *list);
bool match_list_may_wait(const struct match_list *list);
bool match_list_is_empty(const struct match_list *list);

/* Case does not matter. On MATCH_ERROR the reason has been logged. */
enum match_status match_list_find(struct match_list *list, struct slice name, int64_t deadline) MUST_CHECK;
/* The table that made the last MATCH_ERROR, or the list's title. */
const char *match_list_failed(const struct match_list *list);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * permit_log: smtpd_log_access_permit_actions: says in the log why something was let through. Called by the evaluator
 * for each permission; a table in the list that fails matches nothing.
 */
#include <string.h>

#include "common/access/restrict.h"

static bool is_logged(struct evaluation *evaluation, const char *action)
{
    struct arena *scratch = evaluation->session->scratch;
    for (size_t i = 0; i < smtpd.logged_permits.count; i++) {
        const char *word = smtpd.logged_permits.words[i];
        struct table_answer answer;
        if (strchr(word, ':') == NULL ? text_equal_nocase(word, action) :
            lookup_find(word, KEY_EXACT, "smtpd_log_access_permit_actions", action, scratch, &answer) && answer.status == TABLE_FOUND)
            return true;
    }
    return false;
}

void restrict_log_permit(struct evaluation *evaluation, const char *action, enum restrict_stage subject, const char *table)
{
    /* What is put off in any case is no permission. */
    if (smtpd.logged_permits.count == 0 || evaluation->defer_if_permit != NULL || !is_logged(evaluation, action))
        return;
    restrict_log(evaluation, "permit",
                 arena_printf(evaluation->session->scratch, "action=%s for %s=%s %s%s", action, restrict_class(subject),
                              restrict_subject(evaluation, subject), table != NULL ? "from " : "", table != NULL ? table : ""));
}

enum restrict_stage restrict_permit_subject(const char *name)
{
    static const struct { const char *name; enum restrict_stage subject; } others[] = {
        {"permit_auth_destination", STAGE_RECIPIENT}, {"permit_mx_backup", STAGE_RECIPIENT}, {"permit_naked_ip_address", STAGE_HELO}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (text_equal_nocase(name, others[i].name))
            return others[i].subject;
    return STAGE_CLIENT;
}

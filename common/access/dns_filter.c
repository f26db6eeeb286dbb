/* SPDX-License-Identifier: ISC */
/*
 * dns_filter: smtpd_dns_reply_filter: a table that sees each record of an answer as "name ttl IN type data" and may have
 * it ignored. Called by resolver_client for what restrictions ask; SPF and client names go past it, as in Postfix. A
 * table that fails makes the answer "cannot say now".
 */
#include "common/access/dns_filter.h"

#include "common/access/access.h"
#include "common/base/log.h"

#define PARAMETER_NAME "smtpd_dns_reply_filter"

/* Names end in a dot. */
static const char *key_of(const char *name, enum dns_type type, uint32_t ttl, const struct dns_record *record, struct arena *arena)
{
    bool is_name = type == DNS_MX || type == DNS_NS || type == DNS_PTR || type == DNS_CNAME;
    const char *preference = type == DNS_MX ? arena_printf(arena, "%u ", record->preference) : "";
    size_t len = strlen(name);
    return arena_printf(arena, "%s%s %u IN %s %s%s%s", name, len > 0 && name[len - 1] == '.' ? "" : ".", ttl,
                        dns_type_name((uint16_t)type), preference, record->data, is_name ? "." : "");
}

enum filter_action { KEEP, DROP, FAILED };

static enum filter_action action_for(const char *maps, const char *key, struct arena *arena)
{
    struct table_answer answer;
    if (!lookup_find(maps, KEY_EXACT, PARAMETER_NAME, key, arena, &answer))
        return FAILED;
    if (answer.status == TABLE_ERROR) {
        log_warning("%s lookup error for \"%s\"", *answer.table != '\0' ? answer.table : maps, key);
        return FAILED;
    }
    if (answer.status != TABLE_FOUND)
        return KEEP;
    if (text_equal_nocase(answer.value, "IGNORE"))
        return DROP;
    log_warning(PARAMETER_NAME ": unknown DNS filter action: \"%s\"", answer.value);
    return FAILED;
}

void dns_filter(const char *maps, const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer)
{
    const char *owner = answer->owner != NULL && *answer->owner != '\0' ? answer->owner : name;
    size_t kept = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const char *key = key_of(owner, type, answer->ttl, &answer->records[i], arena);
        enum filter_action action = action_for(maps, key, arena);
        if (action == FAILED) {
            *answer = (struct dns_answer){.status = DNS_TEMPORARY};
            return;
        }
        if (action == DROP)
            log_info("ignoring DNS RR: %s", key);
        else
            answer->records[kept++] = answer->records[i];
    }
    if (kept == 0 && answer->count > 0)
        answer->status = DNS_FILTERED;
    answer->count = kept;
}

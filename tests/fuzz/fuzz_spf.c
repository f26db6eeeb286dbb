/* SPDX-License-Identifier: ISC */
/* Whole SPF checks against a zone that strangers wrote. The first line of the input is the sender, the second the HELO
 * name; each further one is "name TYPE data". The result is one of those that there are, within the limits. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/dns/spf_header.h"
#include "resolver/spf_record.h"
#include "tests/unit/spf_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *take_line(struct slice *rest, struct arena *arena)
{
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
    char *line = arena_slice(arena, slice_range(rest->data, len));
    *rest = slice_skip(*rest, end != NULL ? len + 1 : len);
    return line;
}

static void add_record(char *line)
{
    char *type = strchr(line, ' '), *value = type != NULL ? strchr(type + 1, ' ') : NULL;
    if (value == NULL)
        return;
    *type++ = '\0';
    *value++ = '\0';
    if (strcmp(type, "MX") == 0 && strchr(value, ' ') == NULL)
        return;
    zone_add(line, type, value);
}

static void check(const char *address, const char *sender, const char *helo, struct arena *arena)
{
    struct spf_question question = {address, helo, sender, "mx.test", SPF_HELO | SPF_MAIL_FROM};
    struct spf_answer answer, copy;
    struct str body = STR_EMPTY, headers = STR_EMPTY;
    spf_check(&question, arena, &answer);
    spf_answer_encode(&answer, &body);
    if (!spf_answer_decode(str_slice(&body), arena, &copy) || copy.mail_from.result != answer.mail_from.result)
        log_panic("an answer changed");
    spf_header_append(&question, &answer, "id.test", &headers);
    for (size_t i = 0; i + 1 < headers.len; i++)
        if (headers.data[i] == '\n' && headers.data[i + 1] != '\t' && headers.data[i + 1] != 'A')
            log_panic("a header line of a stranger");
    str_free(&body);
    str_free(&headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct slice rest = slice_range((const char *)data, size);
    struct spf_question question;
    struct spf_answer answer;
    if (!spf_question_decode(rest, arena, &question) || !spf_answer_decode(rest, arena, &answer))
        question.address = "";
    const char *sender = take_line(&rest, arena), *helo = take_line(&rest, arena);
    zone_clear();
    while (rest.len > 0)
        add_record(take_line(&rest, arena));
    if (strlen(sender) <= SPF_MAX_TEXT && strlen(helo) <= SPF_MAX_TEXT) {
        check("192.0.2.1", sender, helo, arena);
        check("2001:db8::1", sender, helo, arena);
        if (zone_questions() > 4 * 250)
            log_panic("%u questions", zone_questions());
    }
    zone_clear();
    arena_free(arena);
    return 0;
}

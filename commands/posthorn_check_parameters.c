/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_parameters: settings that are misspelt, unused, not of their parameter's type or without effect in
 * this release, in main.cf and in every service's overrides. The judgement is config_check's; here it gets a place.
 */
#include <stdlib.h>

#include "commands/posthorn_check.h"
#include "common/base/mem.h"
#include "common/config/evaluate.h"
#include "common/config/parameter.h"
#include "common/config/references.h"

static const struct check_advice bad_value = {
    "bad-value", CHECK_ERROR, "The program that reads this value stops with a fatal error.",
    "Correct the value; posthorn-parameters(5) tells its type and bounds."};
static const struct check_advice unused = {
    "unused-parameter", CHECK_WARNING, "Nothing reads a parameter of this name: it is misspelt, or left over.",
    "Correct the spelling, or remove the line."};
static const struct check_advice unsupported = {
    "unsupported-parameter", CHECK_WARNING, "This release accepts the setting but does not do what it asks for.",
    "Remove it if you can do without, or keep Postfix for what it does."};
/* The same with what is special about some of them, by the end of parameter_status_text(). */
static const struct {
    const char *suffix;
    struct check_advice advice;
} special[] = {
    {"(milters)", {"unsupported-parameter", CHECK_WARNING,
                   "This release shows mail to no milter: nothing is checked, signed or verified by one, and nothing is refused.",
                   "Remove it if you can do without, or keep Postfix until milters work."}},
    {"(delivery by SMTP)", {"unsupported-parameter", CHECK_WARNING,
                            "This release does not deliver to other hosts, so what tunes that has nothing to tune: such mail waits in the queue.",
                            "It may stay for the release that does; until then send outbound mail through another server."}},
    {"(content filters)", {"unsupported-parameter", CHECK_ERROR, "Mail is delivered without these checks.",
                           "Use header_checks and body_checks when mail comes in, or keep Postfix for this service."}},
    {"(local, pipe and UUCP delivery)", {"unsupported-parameter", CHECK_WARNING,
                                         "This release has no local(8) and no pipe(8), so what tunes them has nothing to tune.",
                                         "Deliver with lmtp or virtual; the line may stay."}},
};
static const struct check_advice no_effect = {
    "parameter-without-effect", CHECK_NOTE, "What it tunes does not exist here, or needs no tuning. It does no harm.",
    "Nothing needs to be done."};
static const struct check_advice undefined = {
    "undefined-parameter", CHECK_WARNING, "A $name that is set nowhere is replaced by nothing.",
    "Correct the spelling, or set it."};

/* --- which name was meant ------------------------------------------------------------------ */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters differ (Levenshtein), with one row of the table in memory. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t width = strlen(b), distance = 0;
    size_t *row = mem_alloc_array(width + 1, sizeof *row);
    for (size_t i = 0; i <= width; i++)
        row[i] = i;
    for (size_t y = 1; a[y - 1] != '\0'; y++) {
        size_t diagonal = row[0];
        row[0] = y;
        for (size_t x = 1; x <= width; x++) {
            size_t above = row[x];
            row[x] = smallest(above + 1, row[x - 1] + 1, diagonal + (a[y - 1] != b[x - 1]));
            diagonal = above;
        }
    }
    distance = row[width];
    free(row);
    return distance;
}

/* "; did you mean ...?", or "". */
static const char *suggestion(struct check *check, const char *name)
{
    size_t best = strlen(name) / 5 < 3 ? strlen(name) / 5 + 1 : 4;
    const char *found = NULL;
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        size_t distance = parameter->status == OBSOLETE ? best : edit_distance(name, parameter->name);
        if (distance < best) {
            best = distance;
            found = parameter->name;
        }
    }
    return found != NULL ? arena_printf(check->arena, "; did you mean %s?", found) : "";
}

/* --- main.cf --------------------------------------------------------------------------------- */

static const struct check_advice *advice_of(const struct config_problem *problem)
{
    const char *without_effect = parameter_status_text(NO_EFFECT);
    if (problem->fatal)
        return &bad_value;
    if (check_has_suffix(problem->text, without_effect))
        return &no_effect;
    if (slice_starts_with_nocase(slice_of(problem->text), SLICE("unused parameter")))
        return &unused;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (check_has_suffix(problem->text, special[i].suffix))
            return &special[i].advice;
    return &unsupported;
}

static void check_main(struct check *check, const struct config_references *references)
{
    struct config_problems problems = {0};
    config_check_with_services(check->config, &check->services, &problems);
    for (size_t i = 0; i < problems.count; i++)
        if (advice_of(&problems.list[i]) != &unused)
            check_report(check, advice_of(&problems.list[i]), problems.list[i].where, "%s", problems.list[i].text);
    config_problems_free(&problems);
    for (size_t i = 0; i < config_count(check->config); i++) {
        const char *name = config_name_at(check->config, i);
        if (!config_references_use_main(references, name))
            check_report(check, &unused, config_origin(check->config, name), "unused parameter: %s%s", name,
                         suggestion(check, name));
    }
}

/* --- overrides --------------------------------------------------------------------------------- */

static bool mentions(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    size_t len = strlen(name);
    return at != NULL && !text_is_alnum(at[len]) && at[len] != '_' &&
           (at == text || (!text_is_alnum(at[-1]) && at[-1] != '_'));
}

/* What is wrong in a service's view and not in main.cf's: it has no place in main.cf and names the override. */
static void check_override(struct check *check, const struct check_view *view, const struct config_problems *problems,
                           const char *name)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *problem = &problems->list[i];
        if (problem->where.file == NULL && mentions(problem->text, name) && advice_of(problem) != &unused)
            check_report(check, advice_of(problem), check_locate(check, view, name, NULL, 0), "%s: %s",
                         check_view_name(check, view), problem->text);
    }
}

static void check_overrides(struct check *check, const struct config_references *references, const struct check_view *view)
{
    const struct service *service = view->service;
    struct config_problems problems = {0};
    if (service->override_count == 0)
        return;
    config_check_with_services(view->config, &check->services, &problems);
    for (size_t i = 0; i < service->override_count; i++) {
        const char *name = service->override_names[i];
        check_override(check, view, &problems, name);
        if (!config_references_use_override(references, service, name))
            check_report(check, &unused, check_locate(check, view, name, NULL, 0), "%s: unused parameter: %s%s",
                         check_view_name(check, view), name, suggestion(check, name));
    }
    config_problems_free(&problems);
}

/* The first setting that says $name. */
struct search {
    const char *name;
    bool found;
};

static void match_name(void *context, struct slice name)
{
    struct search *search = context;
    search->found |= slice_equal(name, slice_of(search->name));
}

static bool says_name(const char *value, const char *name)
{
    struct search search = {name, false};
    evaluate_visit_names(slice_of(value), match_name, &search);
    return search.found;
}

static struct config_origin find_reference(struct check *check, const char *name, bool in_master_cf)
{
    for (size_t i = 0; !in_master_cf && i < config_count(check->config); i++) {
        const char *setting = config_name_at(check->config, i);
        if (says_name(config_raw(check->config, setting), name))
            return check_locate(check, &check->views[0], setting, NULL, 0);
    }
    for (size_t i = 1; in_master_cf && i < check->view_count; i++) {
        const struct service *service = check->views[i].service;
        for (size_t k = 0; k < service->override_count; k++)
            if (says_name(service->override_values[k], name))
                return check_locate(check, &check->views[i], service->override_names[k], NULL, 0);
    }
    return (struct config_origin){NULL, 0};
}

static void report_undefined(void *context, const char *name, bool in_master_cf)
{
    struct check *check = context;
    check_report(check, &undefined, find_reference(check, name, in_master_cf), "undefined parameter: $%s%s", name, suggestion(check, name));
}

void check_parameters(struct check *check)
{
    struct config_references *references = config_references_new(check->config, &check->services);
    check_main(check, references);
    for (size_t i = 1; i < check->view_count; i++)
        check_overrides(check, references, &check->views[i]);
    config_references_visit_undefined(references, report_undefined, check);
    config_references_free(references);
}

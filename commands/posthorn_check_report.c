/* SPDX-License-Identifier: ISC */
/* posthorn_check_report: the list of findings, and how it is shown to people and to programs. */
#include <stdarg.h>
#include <stdlib.h>
#include <uthash.h>

#include "commands/posthorn_check.h"
#include "commands/json.h"
#include "common/base/mem.h"

#define TEXT_WIDTH 96
#define TEXT_INDENT 10

static const char *const severity_names[] = {"note", "warning", "error"};

/* A finding as one text, to know it again. */
struct check_known {
    const char *key;
    UT_hash_handle hh;
};

static bool is_new(struct check *check, const struct check_advice *advice, struct config_origin where, const char *text)
{
    struct check_known *known;
    const char *key = arena_printf(check->arena, "%s %s %u %s", advice->id, where.file != NULL ? where.file : "",
                                   where.line, text);
    HASH_FIND_STR(check->known, key, known);
    if (known != NULL)
        return false;
    known = arena_alloc(check->arena, sizeof *known);
    known->key = key;
    HASH_ADD_KEYPTR(hh, check->known, known->key, strlen(known->key), known);
    return true;
}

static void add_finding(struct check *check, struct check_finding finding)
{
    if (check->finding_count == check->finding_capacity) {
        check->finding_capacity = check->finding_capacity == 0 ? 64 : check->finding_capacity * 2;
        check->findings = mem_realloc_array(check->findings, check->finding_capacity, sizeof *check->findings);
    }
    check->findings[check->finding_count++] = finding;
}

void check_report(struct check *check, const struct check_advice *advice, struct config_origin where, const char *fmt, ...)
{
    struct str text = STR_EMPTY;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    text_make_printable(text.data, text.len);
    if (is_new(check, advice, where, str_text(&text))) {
        if (where.file != NULL)
            where.file = arena_strdup(check->arena, where.file);
        add_finding(check, (struct check_finding){advice, where, arena_slice(check->arena, str_slice(&text))});
    }
    str_free(&text);
}

void check_free_findings(struct check *check)
{
    HASH_CLEAR(hh, check->known);
    free(check->findings);
}

size_t check_count_severity(const struct check *check, enum check_severity severity)
{
    size_t count = 0;
    for (size_t i = 0; i < check->finding_count; i++)
        count += check->findings[i].advice->severity == severity;
    return count;
}

/* As an admin reads: by file and line; what has no place comes first. */
static int compare_findings(const void *a, const void *b)
{
    const struct check_finding *left = a, *right = b;
    const char *left_file = left->where.file != NULL ? left->where.file : "";
    const char *right_file = right->where.file != NULL ? right->where.file : "";
    int order = strcmp(left_file, right_file);
    if (order == 0)
        order = (left->where.line > right->where.line) - (left->where.line < right->where.line);
    if (order == 0)
        order = (int)right->advice->severity - (int)left->advice->severity;
    return order != 0 ? order : strcmp(left->text, right->text);
}

static void sort_findings(struct check *check)
{
    if (check->finding_count > 0)
        qsort(check->findings, check->finding_count, sizeof *check->findings, compare_findings);
}

static void print_place(FILE *out, struct config_origin where)
{
    if (where.file != NULL && where.line > 0)
        fprintf(out, "%s, line %u: ", where.file, where.line);
    else if (where.file != NULL)
        fprintf(out, "%s: ", where.file);
}

/* "    why:  words", folded. */
static void print_paragraph(FILE *out, const char *label, const char *text)
{
    struct slice rest = slice_of(text), word;
    size_t column = TEXT_INDENT;
    fprintf(out, "    %-*s", TEXT_INDENT - 4, label);
    while (slice_next_token(&rest, " ", &word)) {
        if (column > TEXT_INDENT && column + 1 + word.len > TEXT_WIDTH) {
            fprintf(out, "\n%*s", TEXT_INDENT, "");
            column = TEXT_INDENT;
        } else if (column > TEXT_INDENT) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", SLICE_ARGS(word));
        column += word.len;
    }
    fputc('\n', out);
}

void check_print_text(struct check *check, FILE *out)
{
    sort_findings(check);
    for (size_t i = 0; i < check->finding_count; i++) {
        const struct check_finding *finding = &check->findings[i];
        print_place(out, finding->where);
        fprintf(out, "%s: %s [%s]\n", severity_names[finding->advice->severity], finding->text, finding->advice->id);
        print_paragraph(out, "why:", finding->advice->why);
        print_paragraph(out, "mend:", finding->advice->mend);
    }
    fprintf(out, "%s: %zu errors, %zu warnings, %zu notes\n", config_directory(check->config),
            check_count_severity(check, CHECK_ERROR), check_count_severity(check, CHECK_WARNING),
            check_count_severity(check, CHECK_NOTE));
}

static void print_json_member(FILE *out, const char *name, const char *text)
{
    fprintf(out, ", \"%s\": ", name);
    json_print_text(out, text);
}

void check_print_json(struct check *check, FILE *out)
{
    sort_findings(check);
    fputs("{\"configuration\": ", out);
    json_print_text(out, config_directory(check->config));
    fprintf(out, ", \"errors\": %zu, \"warnings\": %zu, \"notes\": %zu, \"findings\": [",
            check_count_severity(check, CHECK_ERROR), check_count_severity(check, CHECK_WARNING),
            check_count_severity(check, CHECK_NOTE));
    for (size_t i = 0; i < check->finding_count; i++) {
        const struct check_finding *finding = &check->findings[i];
        fprintf(out, "%s\n  {\"id\": \"%s\"", i > 0 ? "," : "", finding->advice->id);
        print_json_member(out, "severity", severity_names[finding->advice->severity]);
        print_json_member(out, "file", finding->where.file);
        if (finding->where.line > 0)
            fprintf(out, ", \"line\": %u", finding->where.line);
        else
            fputs(", \"line\": null", out);
        print_json_member(out, "message", finding->text);
        print_json_member(out, "why", finding->advice->why);
        print_json_member(out, "mend", finding->advice->mend);
        fputc('}', out);
    }
    fputs(check->finding_count > 0 ? "\n]}\n" : "]}\n", out);
}

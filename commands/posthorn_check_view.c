/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_view: main.cf as each service of master.cf sees it, and the physical line on which something is
 * written. A value that cannot be evaluated counts as empty here: check_parameters reports it.
 */
#include <stdlib.h>

#include "commands/posthorn_check.h"
#include "common/base/mem.h"
#include "common/config/evaluate.h"
#include "common/config/main_cf.h"

#define LOCATE_DEPTH 8

void check_make_views(struct check *check)
{
    check->views = mem_alloc_array(check->services.count + 1, sizeof *check->views);
    check->views[check->view_count++] = (struct check_view){NULL, check->config};
    for (size_t i = 0; i < check->services.count; i++) {
        const struct service *service = &check->services.services[i];
        check->views[check->view_count++] = (struct check_view){service, service_config(service, check->config)};
    }
}

void check_free_views(struct check *check)
{
    for (size_t i = 1; i < check->view_count; i++) /* the first is main.cf itself */
        config_free(check->views[i].config);
    free(check->views);
}

const char *check_value(const struct check_view *view, const char *name)
{
    const char *value = config_string_if_valid(view->config, name);
    return value != NULL ? value : "";
}

bool check_is_yes(const struct check_view *view, const char *name)
{
    return text_equal_nocase(check_value(view, name), "yes");
}

bool check_is_smtpd(const struct check_view *view)
{
    return view->service != NULL && strcmp(view->service->command, "smtpd") == 0;
}

static bool is_loopback_name(struct slice host)
{
    return slice_starts_with_nocase(host, SLICE("127.")) || slice_equal_nocase(host, SLICE("localhost")) ||
           slice_equal(host, SLICE("[::1]")) || slice_equal(host, SLICE("::1"));
}

bool check_is_loopback_service(const struct check_view *view)
{
    if (view->service == NULL || view->service->type != SERVICE_INET)
        return false;
    const char *name = view->service->name, *colon = strrchr(name, ':');
    if (colon != NULL && colon != name)
        return is_loopback_name(slice_range(name, (size_t)(colon - name)));
    struct slice rest = slice_of(check_value(view, "inet_interfaces")), item;
    bool any = false;
    while (slice_next_token(&rest, ", \t\r\n", &item)) {
        any = true;
        if (!slice_equal_nocase(item, SLICE("loopback-only")) && !is_loopback_name(item))
            return false;
    }
    return any;
}

const char *check_view_name(struct check *check, const struct check_view *view)
{
    if (view->service == NULL)
        return "main.cf";
    return arena_printf(check->arena, "%s/%s", view->service->name, service_type_name(view->service->type));
}

bool check_has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

void check_each_setting(struct check *check, check_setting_visitor *visit)
{
    for (size_t i = 0; i < config_count(check->config); i++)
        visit(check, &check->views[0], config_name_at(check->config, i));
    for (size_t i = 1; i < check->view_count; i++) {
        const struct service *service = check->views[i].service;
        for (size_t k = 0; k < service->override_count; k++)
            visit(check, &check->views[i], service->override_names[k]);
    }
}

/* --- where a word is written --------------------------------------------------------------- */

static bool is_boundary(char c)
{
    return text_is_space(c) || strchr(",={}\"", c) != NULL;
}

/* The word, whole, at or after FROM; SIZE_MAX when the line does not have it. */
static size_t find_word(struct slice line, const char *word, size_t from)
{
    size_t len = strlen(word);
    for (size_t at = from; at + len <= line.len; at++)
        if (memcmp(line.data + at, word, len) == 0 && (at == 0 || is_boundary(line.data[at - 1])) &&
            (at + len == line.len || is_boundary(line.data[at + len])))
            return at;
    return SIZE_MAX;
}

static bool next_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    const char *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline != NULL ? (size_t)(newline - rest->data) : rest->len;
    *line = slice_range(rest->data, len);
    *rest = slice_skip(*rest, newline != NULL ? len + 1 : len);
    return true;
}

static bool is_blank_or_comment(struct slice line)
{
    struct slice text = slice_trim(line);
    return text.len == 0 || text.data[0] == '#';
}

/*
 * Searches the logical line that begins at START for NAME and then the nth WORD behind it. 0 when it is not there;
 * with WORD NULL the line of NAME.
 */
static unsigned search_lines(struct slice text, unsigned start, const char *name, const char *word, size_t nth)
{
    struct slice line;
    bool named = false;
    for (unsigned number = 1; next_line(&text, &line); number++) {
        size_t from = 0;
        if (number < start || is_blank_or_comment(line))
            continue;
        if (number > start && !text_is_space(line.data[0]))
            return 0;
        if (!named) {
            from = find_word(line, name, 0);
            if (from == SIZE_MAX)
                continue;
            named = true;
            from += strlen(name);
            if (word == NULL)
                return number;
        }
        while ((from = find_word(line, word, from)) != SIZE_MAX) {
            if (nth-- == 0)
                return number;
            from += strlen(word);
        }
    }
    return 0;
}

/* Read once: a large main.cf is searched thousands of times. */
struct check_source {
    struct check_source *next;
    const char *path;
    struct slice text;
};

static struct slice read_source(struct check *check, const char *path)
{
    struct str text = STR_EMPTY;
    for (struct check_source *source = check->sources; source != NULL; source = source->next)
        if (strcmp(source->path, path) == 0)
            return source->text;
    struct check_source *source = arena_alloc(check->arena, sizeof *source);
    if (!config_read_file(path, &text))
        str_clear(&text);
    source->path = arena_strdup(check->arena, path);
    source->text = slice_range(arena_slice(check->arena, str_slice(&text)), text.len);
    source->next = check->sources;
    check->sources = source;
    str_free(&text);
    return source->text;
}

static unsigned search_file(struct check *check, struct config_origin where, const char *name, const char *word, size_t nth)
{
    return search_lines(read_source(check, where.file), where.line, name, word, nth);
}

struct follow {
    struct check *check;
    const struct check_view *view;
    const char *word;
    size_t nth;
    unsigned depth;
    struct config_origin found;
};

static struct config_origin locate(struct follow *follow, const char *name);

static void follow_name(void *context, struct slice name)
{
    struct follow *follow = context;
    if (follow->found.file != NULL || follow->depth >= LOCATE_DEPTH)
        return;
    follow->depth++;
    follow->found = locate(follow, arena_slice(follow->check->arena, name));
    follow->depth--;
}

static struct config_origin origin_in_view(const struct check_view *view, const char *name)
{
    const struct service *service = view->service;
    for (size_t i = 0; service != NULL && i < service->override_count; i++)
        if (strcmp(service->override_names[i], name) == 0)
            return service->where;
    return config_origin(view->config, name);
}

/* No file: not found below this name. */
static struct config_origin locate(struct follow *follow, const char *name)
{
    struct config_origin where = origin_in_view(follow->view, name), nowhere = {NULL, 0};
    const char *raw = config_raw(follow->view->config, name);
    if (where.file == NULL || raw == NULL)
        return nowhere;
    where.line = search_file(follow->check, where, name, follow->word, follow->nth);
    if (where.line > 0)
        return where;
    evaluate_visit_names(slice_of(raw), follow_name, follow);
    return follow->found;
}

struct config_origin check_locate(struct check *check, const struct check_view *view, const char *name,
                                  const char *word, size_t nth)
{
    struct config_origin where = origin_in_view(view, name);
    struct follow follow = {.check = check, .view = view, .word = word, .nth = nth};
    if (where.file == NULL)
        return where;
    struct config_origin exact = locate(&follow, name);
    if (exact.file != NULL)
        return exact;
    unsigned line = search_file(check, where, name, NULL, 0);
    if (line > 0)
        where.line = line;
    return where;
}

/* SPDX-License-Identifier: ISC */
/*
 * bounce_template: the built-in texts of notifications and the reader of bounce_template_file. Called by postconf with
 * its caller's rights. A file that is no template file is an error in words; one bad template costs only itself.
 */
#include "common/mail/bounce_template.h"

#include "common/base/log.h"
#include "common/config/evaluate.h"

const char *const bounce_template_names[TEMPLATE_COUNT] = {"failure", "delay", "success", "verify"};

#define FROM "Mail Delivery System <MAILER-DAEMON>"
#define HEAD "This is the mail system at host $myhostname.\n\n"
#define FOOT "\n                   The mail system\n"

static const struct bounce_template built_in[TEMPLATE_COUNT] = {
    [TEMPLATE_FAILURE] = {"us-ascii", FROM, "Undelivered Mail Returned to Sender",
                          "Postmaster Copy: Undelivered Mail",
                          HEAD "Your message could not be delivered to the recipients named below; what went\n"
                          "wrong is said with each of them. The message itself is attached.\n\n"
                          "If you need help, write to the postmaster and include this report.\n" FOOT},
    [TEMPLATE_DELAY] = {"us-ascii", FROM, "Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail",
                        HEAD "This is only a warning. You need not send your message again.\n\n"
                        "Your message has not been delivered yet to the recipients named below. It\n"
                        "will be tried until it is $maximal_queue_lifetime_days days old.\n" FOOT},
    [TEMPLATE_SUCCESS] = {"us-ascii", FROM, "Successful Mail Delivery Report", NULL,
                          HEAD "Your message was delivered to the recipients named below, as you asked to be\n"
                          "told. If it went on to another mail system, that system may send no report.\n" FOOT},
    [TEMPLATE_VERIFY] = {"us-ascii", FROM, "Mail Delivery Status Report", NULL,
                         HEAD "This is the report on addresses that you asked for.\n" FOOT},
};

void bounce_templates_built_in(struct bounce_template templates[TEMPLATE_COUNT])
{
    memcpy(templates, built_in, sizeof built_in);
}

/* --- one template ------------------------------------------------------------------------- */

struct template_reader {
    const char *file;
    struct arena *arena;
    struct bounce_template *templates;
    struct slice rest;
    unsigned line; /* lines taken so far */
};

static bool take_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    const char *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline != NULL ? (size_t)(newline - rest->data) : rest->len;
    *line = slice_range(rest->data, len);
    *rest = slice_skip(*rest, newline != NULL ? len + 1 : len);
    return true;
}

/* "Subject: x": the length of the label, 0 when the line is no header. */
static size_t label_length(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] > ' ' && line.data[len] < 127 && line.data[len] != ':')
        len++;
    return len < line.len && line.data[len] == ':' ? len : 0;
}

/* The member that a header sets, NULL for an unknown label. */
static const char **member_of(struct bounce_template *template, struct slice label)
{
    if (slice_equal_nocase(label, SLICE("Charset")))
        return &template->charset;
    if (slice_equal_nocase(label, SLICE("From")))
        return &template->from;
    if (slice_equal_nocase(label, SLICE("Subject")))
        return &template->subject;
    return slice_equal_nocase(label, SLICE("Postmaster-Subject")) ? &template->postmaster_subject : NULL;
}

static bool set_header(const struct template_reader *reader, struct bounce_template *template, struct slice line,
                       const char *kind)
{
    size_t len = label_length(line);
    struct slice label = slice_range(line.data, len), value = slice_trim(slice_skip(line, len + 1));
    const char **member = member_of(template, label), *wrong = NULL, *what = " value";
    if (member == NULL) {
        wrong = "unknown";
        what = " label";
    } else if (value.len == 0) {
        wrong = "empty";
    } else if (!text_is_ascii(value)) {
        wrong = "non-ASCII";
    } else if (member == &template->postmaster_subject && *member == NULL) {
        wrong = "inapplicable";
        what = " label";
    }
    if (wrong != NULL) {
        log_warning("%s: %s \"%.*s\" header%s in %s template -- ignoring this template", reader->file, wrong,
                    SLICE_ARGS(label), what, kind);
        return false;
    }
    *member = arena_slice(reader->arena, value);
    return true;
}

/* Headers, blank lines, text. */
static void set_template(const struct template_reader *reader, enum bounce_template_kind kind, struct slice body)
{
    const char *name = bounce_template_names[kind];
    struct bounce_template template = built_in[kind];
    struct slice after = body, line;
    while (take_line(&after, &line) && label_length(line) > 0) {
        if (!set_header(reader, &template, line, name))
            return;
        body = after;
    }
    after = body;
    while (take_line(&after, &line) && slice_trim(line).len == 0)
        body = after;
    if (slice_trim(body).len == 0) {
        log_warning("%s: missing message text in %s template -- ignoring this template", reader->file, name);
        return;
    }
    if (!text_is_ascii(body) && text_equal_nocase(template.charset, "us-ascii")) {
        log_warning("%s: 8-bit message text in %s template", reader->file, name);
        log_warning("please specify a charset value other than us-ascii");
        log_warning("-- ignoring this template for now");
        return;
    }
    template.text = arena_slice(reader->arena, body);
    reader->templates[kind] = template;
}

/* --- the file ------------------------------------------------------------------------------ */

/* The lines up to the end marker, which "<<" announced. */
static struct slice take_block(struct template_reader *reader, struct slice marker)
{
    const char *start = reader->rest.data, *end = start;
    unsigned first = reader->line;
    struct slice line;
    while (take_line(&reader->rest, &line)) {
        reader->line++;
        if (slice_equal(line, marker))
            return slice_range(start, (size_t)(end - start));
        end = line.data + line.len + (reader->rest.data > line.data + line.len ? 1 : 0);
    }
    log_warning("%s, line %u: missing \"%.*s\" end marker", reader->file, first, SLICE_ARGS(marker));
    return slice_range(start, (size_t)(end - start));
}

static bool is_template_name(struct slice name, enum bounce_template_kind *kind)
{
    for (int i = 0; i < TEMPLATE_COUNT; i++) {
        struct slice base = slice_of(bounce_template_names[i]);
        if (name.len == base.len + 9 && memcmp(name.data, base.data, base.len) == 0 &&
            slice_equal(slice_skip(name, base.len), SLICE("_template"))) {
            *kind = (enum bounce_template_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_setting(struct template_reader *reader, struct slice line, struct str *why)
{
    enum bounce_template_kind kind;
    const char *equals = memchr(line.data, '=', line.len);
    struct slice name = slice_trim(slice_range(line.data, equals != NULL ? (size_t)(equals - line.data) : line.len));
    if (equals == NULL || name.len == 0 || memchr(name.data, ' ', name.len) != NULL) {
        str_printf(why, "%s, line %u: missing %s: \"%.*s\"", reader->file, reader->line,
                   name.len == 0 ? "attribute name" : "'=' after attribute name", SLICE_ARGS(line));
        return false;
    }
    struct slice value = slice_trim(slice_range(equals + 1, (size_t)(line.data + line.len - equals - 1)));
    unsigned at = reader->line;
    if (value.len >= 2 && memcmp(value.data, "<<", 2) == 0) {
        struct slice marker = slice_trim(slice_skip(value, 2));
        if (marker.len == 0) {
            str_printf(why, "%s, line %u: missing end marker after <<", reader->file, reader->line);
            return false;
        }
        value = take_block(reader, marker);
    } else {
        value = slice_of(arena_printf(reader->arena, "%.*s%s", SLICE_ARGS(value), value.len > 0 ? "\n" : ""));
    }
    if (is_template_name(name, &kind))
        set_template(reader, kind, value);
    else
        log_warning("%s, line %u: unknown template name: %.*s -- ignoring this template", reader->file, at,
                    SLICE_ARGS(name));
    return true;
}

bool bounce_templates_parse(const char *file, struct slice text, struct arena *arena,
                            struct bounce_template templates[TEMPLATE_COUNT], struct str *why)
{
    struct template_reader reader = {file, arena, templates, text, 0};
    struct slice line;
    while (take_line(&reader.rest, &line)) {
        reader.line++;
        line = slice_trim(line);
        if (line.len > 0 && line.data[0] != '#' && !parse_setting(&reader, line, why))
            return false;
    }
    return true;
}

/* --- $names ---------------------------------------------------------------------------------- */

struct expansion {
    const struct config *config;
    struct arena *arena;
    const char *kind, *file;
    bool undefined;
    struct str *why; /* not empty: the expansion failed */
};

static const char *convert_time(struct expansion *expansion, const char *name, const char *parameter, const char *unit)
{
    static const struct { const char *name; int64_t seconds; } units[] = {
        {"seconds", 1}, {"minutes", 60}, {"hours", 3600}, {"days", 86400}, {"weeks", 604800}};
    int64_t seconds = config_seconds(expansion->config, parameter);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].name, unit) != 0)
            continue;
        int64_t result = seconds / units[i].seconds;
        if (result == 0 && seconds > 0) {
            log_warning("%s: zero result in %s template conversion of parameter \"%s\"", expansion->file, expansion->kind,
                        name);
            log_warning("please reduce time unit \"%s\" of \"%s\" in %s template", unit, name, expansion->kind);
            log_warning("for instructions see the bounce(5) manual");
        }
        return arena_printf(expansion->arena, "%lld", (long long)result);
    }
    str_printf(expansion->why, "%s: unrecognized suffix \"%s\" in parameter \"%s\"", expansion->file, unit, name);
    return "";
}

static const char *lookup_name(void *context, const char *name)
{
    static const char *const times[] = {"delay_warning_time", "maximal_queue_lifetime"};
    struct expansion *expansion = context;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        size_t len = strlen(times[i]);
        if (strncmp(name, times[i], len) == 0 && name[len] == '_')
            return convert_time(expansion, name, times[i], name + len + 1);
    }
    const char *value = config_raw(expansion->config, name);
    if (value == NULL)
        expansion->undefined = true;
    return value;
}

/* Line by line, so that a complaint can show the one it is about. "${name:text}" needs no value. */
static bool expand_line(struct expansion *expansion, struct slice line, struct str *out)
{
    struct evaluate_source source = {lookup_name, expansion};
    expansion->undefined = false;
    if (!evaluate_text(&source, line, out, expansion->why))
        return false;
    if (expansion->undefined && memchr(line.data, '{', line.len) == NULL && expansion->why->len == 0)
        str_printf(expansion->why, "%s: undefined $name in %s template: %.*s", expansion->file, expansion->kind,
                   SLICE_ARGS(line));
    return expansion->why->len == 0;
}

bool bounce_template_expand(const struct bounce_template *template, enum bounce_template_kind kind, const char *file,
                            const struct config *config, struct str *out, struct str *why)
{
    struct expansion expansion = {config, arena_new(), bounce_template_names[kind], file, false, why};
    struct slice rest = slice_of(template->text), line;
    bool ok = true;
    while (ok && take_line(&rest, &line)) {
        ok = expand_line(&expansion, line, out);
        str_append_char(out, '\n');
    }
    arena_free(expansion.arena);
    return ok;
}

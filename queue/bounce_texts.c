/* SPDX-License-Identifier: ISC */
/*
 * bounce_texts: the words of notifications, from the built-in templates or those of bounce_template_file, which the
 * supervisor has read: this process may not. A template that cannot be used costs only itself, with a warning.
 */
#include "common/base/log.h"
#include "common/cleanup/header_addresses.h"
#include "common/config/bounce_file.h"
#include "common/mail/address_rewrite.h"
#include "queue/queue.h"

static struct bounce_text texts[TEMPLATE_COUNT][2]; /* for the sender, for the postmaster */

static void load_templates(struct arena *arena, struct bounce_template templates[TEMPLATE_COUNT])
{
    const char *file = config_string(settings.config, "bounce_template_file");
    const char *text = bounce_file_text(settings.config);
    struct str why = STR_EMPTY;
    bounce_templates_built_in(templates);
    if (text != NULL && !bounce_templates_parse(file, slice_of(text), arena, templates, &why)) {
        log_warning_as("bounce", "%s -- ignoring this file", str_text(&why));
        bounce_templates_built_in(templates);
    }
    str_free(&why);
}

/* As cleanup(8) rewrites it. */
static const char *full_from(const char *from, struct arena *arena)
{
    const struct rewrite_rules rules = {
        .origin = config_string(settings.config, "myorigin"), .domain = config_string(settings.config, "mydomain"),
        .append_at_origin = config_bool(settings.config, "append_at_myorigin"),
        .append_dot_domain = config_bool(settings.config, "append_dot_mydomain")};
    struct header_addresses addresses;
    struct str line = STR_EMPTY, stripped = STR_EMPTY;
    header_addresses_parse(slice_of(from), 0, arena, &addresses);
    for (size_t i = 0; i < addresses.count; i++)
        rewrite_tokens(&rules, &addresses.list[i]->tokens);
    header_addresses_format(&addresses, SLICE(""), &line, &stripped);
    char *value = arena_slice(arena, slice_trim(slice_skip(str_slice(&line), 2)));
    str_free(&line);
    str_free(&stripped);
    return value;
}

static const char *expand(const struct bounce_template *template, enum bounce_template_kind kind, struct arena *arena)
{
    const char *file = config_string(settings.config, "bounce_template_file");
    struct str text = STR_EMPTY, why = STR_EMPTY;
    if (!bounce_template_expand(template, kind, *file != '\0' ? file : "[built-in]", settings.config, &text, &why))
        log_warning_as("bounce", "%s", str_text(&why));
    char *expanded = arena_slice(arena, str_slice(&text));
    str_free(&text);
    str_free(&why);
    return expanded;
}

void bounce_texts_load(void)
{
    static struct arena *arena;
    struct bounce_template templates[TEMPLATE_COUNT];
    struct arena *old = arena;
    arena = arena_new();
    load_templates(arena, templates);
    for (int kind = 0; kind < TEMPLATE_COUNT; kind++) {
        const struct bounce_template *template = &templates[kind];
        texts[kind][0] = (struct bounce_text){full_from(template->from, arena), arena_strdup(arena, template->subject),
                                              arena_strdup(arena, template->charset),
                                              expand(template, (enum bounce_template_kind)kind, arena)};
        texts[kind][1] = texts[kind][0]; /* the postmaster needs no soothing words */
        texts[kind][1].text = "";
        if (template->postmaster_subject != NULL)
            texts[kind][1].subject = arena_strdup(arena, template->postmaster_subject);
    }
    arena_free(old);
}

const struct bounce_text *bounce_text_for(enum bounce_kind kind, bool for_postmaster)
{
    static const enum bounce_template_kind templates[] = {
        [BOUNCE_FAILED] = TEMPLATE_FAILURE, [BOUNCE_DELAYED] = TEMPLATE_DELAY, [BOUNCE_DELIVERED] = TEMPLATE_SUCCESS};
    return &texts[templates[kind]][for_postmaster];
}

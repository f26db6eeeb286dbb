/* SPDX-License-Identifier: ISC */
/* postconf_templates: -t shows the texts of notifications as they are written, -b with their $names replaced. */
#include <errno.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/config/main_cf.h"
#include "common/mail/bounce_template.h"

static void read_templates(const char *file, struct arena *arena, struct bounce_template *templates)
{
    struct str text = STR_EMPTY, why = STR_EMPTY;
    bounce_templates_built_in(templates);
    if (*file == '\0')
        return;
    if (!config_read_file(file, &text))
        log_fatal("open %s: %s", file, strerror(errno));
    if (!bounce_templates_parse(file, str_slice(&text), arena, templates, &why))
        log_fatal("%s", str_text(&why));
    str_free(&text);
    str_free(&why);
}

static void print_template(const struct bounce_template *template, const char *name)
{
    printf("%s_template = <<EOF\nCharset: %s\nFrom: %s\nSubject: %s\n", name, template->charset, template->from,
           template->subject);
    if (template->postmaster_subject != NULL)
        printf("Postmaster-Subject: %s\n", template->postmaster_subject);
    printf("\n%s", template->text);
}

static void print_expanded(const struct bounce_template *template, int kind, const char *file, const struct config *config)
{
    struct str out = STR_EMPTY, why = STR_EMPTY;
    if (!bounce_template_expand(template, (enum bounce_template_kind)kind, file, config, &out, &why))
        log_fatal("%s", str_text(&why));
    printf("expanded_%s_text = <<EOF\n%s", bounce_template_names[kind], str_text(&out));
    str_free(&out);
    str_free(&why);
}

void postconf_show_templates(const struct postconf_options *options, bool expand)
{
    struct bounce_template templates[TEMPLATE_COUNT];
    struct arena *arena = arena_new();
    struct config *config = postconf_load_main(options);
    if (options->arguments[0] != NULL && options->arguments[1] != NULL)
        log_fatal("options -b and -t require at most one template file");
    const char *file = options->arguments[0] != NULL ? options->arguments[0] : config_string(config, "bounce_template_file");
    read_templates(file, arena, templates);
    for (int kind = 0; kind < TEMPLATE_COUNT; kind++) {
        if (expand)
            print_expanded(&templates[kind], kind, *file != '\0' ? file : "[built-in]", config);
        else
            print_template(&templates[kind], bounce_template_names[kind]);
        puts(kind + 1 < TEMPLATE_COUNT ? "EOF\n" : "EOF");
    }
    config_free(config);
    arena_free(arena);
}

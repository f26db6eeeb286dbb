/* SPDX-License-Identifier: ISC */
/* bounce_file: carries a file's text under a name that no configuration file can set. */
#include "common/config/bounce_file.h"

#include <errno.h>
#include <string.h>

#include "common/config/main_cf.h"

#define NAME "bounce:templates"

void bounce_file_attach(struct config *config, struct config_problems *problems)
{
    const char *file = config_string(config, "bounce_template_file");
    struct str text = STR_EMPTY;
    if (*file == '\0')
        return;
    if (config_read_file(file, &text))
        config_set(config, NAME, str_text(&text));
    else
        config_problems_add(problems, config_origin(config, "bounce_template_file"), false,
                            "open %s: %s -- the built-in templates are used", file, strerror(errno));
    str_free(&text);
}

const char *bounce_file_text(const struct config *config)
{
    return config_raw(config, NAME);
}

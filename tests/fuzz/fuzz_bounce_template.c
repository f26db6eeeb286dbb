/* SPDX-License-Identifier: ISC */
/* Fuzz target: any text as a bounce template file, read and expanded. */
#include <fcntl.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/mail/bounce_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    struct bounce_template templates[TEMPLATE_COUNT];
    struct str why = STR_EMPTY, out = STR_EMPTY;
    struct arena *arena = arena_new();
    if (config == NULL) {
        config = config_new_default();
        log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = open("/dev/null", O_WRONLY), .component = "fuzz"});
    }
    bounce_templates_built_in(templates);
    bool ok = bounce_templates_parse("file", slice_range((const char *)data, size), arena, templates, &why);
    for (int kind = 0; ok && kind < TEMPLATE_COUNT; kind++) {
        str_clear(&out);
        str_clear(&why);
        ok = bounce_template_expand(&templates[kind], (enum bounce_template_kind)kind, "file", config, &out, &why);
    }
    str_free(&out);
    str_free(&why);
    arena_free(arena);
    return 0;
}

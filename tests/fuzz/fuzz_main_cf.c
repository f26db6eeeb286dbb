/* SPDX-License-Identifier: ISC */
/* Fuzz target: any text as main.cf, read, checked, evaluated and sent to a daemon. */
#include <stdint.h>
#include <stdlib.h>

#include "common/config/config.h"
#include "common/config/main_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was encoded must be decoded to the same settings. */
static void round_trip(const struct config *config)
{
    struct str bytes = STR_EMPTY;
    config_encode(config, &bytes);
    struct config *copy = config_decode(str_slice(&bytes));
    if (copy == NULL || config_count(copy) != config_count(config))
        abort();
    for (size_t i = 0; i < config_count(config); i++) {
        const char *name = config_name_at(config, i);
        if (strcmp(config_raw(copy, name), config_raw(config, name)) != 0)
            abort();
    }
    config_free(copy);
    str_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_problems problems = {0};
    struct config *config = config_new_default();
    main_cf_parse("main.cf", slice_range((const char *)data, size), config, &problems);
    config_check(config, &problems);
    round_trip(config);
    config_problems_free(&problems);
    config_free(config);
    return 0;
}

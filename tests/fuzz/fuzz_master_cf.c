/* SPDX-License-Identifier: ISC */
/* Fuzz target: any text as master.cf. */
#include <stdint.h>
#include <stdlib.h>

#include "common/config/master_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_problems problems = {0};
    struct service_table table = {0};
    master_cf_parse("master.cf", slice_range((const char *)data, size), &table, &problems);
    for (size_t i = 0; i < table.count; i++) {
        const struct service *service = &table.services[i];
        if (service->arguments[service->argument_count] != NULL)
            abort();
        if (service->type == SERVICE_INET && service->is_private)
            abort();
    }
    service_table_free(&table);
    config_problems_free(&problems);
    return 0;
}

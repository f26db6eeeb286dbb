/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as the configuration that a daemon receives. */
#include <stdint.h>

#include "common/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    config_free(config_decode(slice_range((const char *)data, size)));
    return 0;
}

/* SPDX-License-Identifier: ISC */
/* What postscreen remembers, and its list of lists: a record that was read and written means the same. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/service/postscreen_tests.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct postscreen_stamps stamps, again;
    struct postscreen_site site;
    struct str record = STR_EMPTY;
    postscreen_stamps_parse(slice_range((const char *)data, size), &stamps);
    postscreen_stamps_print(&stamps, EARLY_TESTS | DEEP_TESTS, &record);
    postscreen_stamps_parse(str_slice(&record), &again);
    for (unsigned i = 0; i < TEST_COUNT; i++)
        if (stamps.expires_s[i] != again.expires_s[i] || stamps.expires_s[i] < 0)
            abort();
    str_free(&record);
    char *text = mem_strndup((const char *)data, size);
    if (postscreen_site_parse(text, &site) && site.domain.len == 0)
        abort();
    free(text);
    return 0;
}

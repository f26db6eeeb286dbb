/* SPDX-License-Identifier: ISC */
/* The PROXY header: what is believed has two addresses and two ports, and lies within what came. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "common/service/proxy_header.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_address(const char *text)
{
    unsigned char bytes[16];
    if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct proxy_header header;
    enum proxy_status status = proxy_header_parse(slice_range((const char *)data, size), true, true, &header);
    if (status != PROXY_OK) {
        if (header.error == NULL)
            abort();
        return 0;
    }
    if (header.size > size)
        abort();
    if (!header.is_local) {
        check_address(header.client_address);
        check_address(header.server_address);
        if (strtoul(header.client_port, NULL, 10) > 65535 || strtoul(header.server_port, NULL, 10) > 65535)
            abort();
    }
    return 0;
}

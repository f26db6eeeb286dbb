/* SPDX-License-Identifier: ISC */
/* json: see the header. */
#include "commands/json.h"

#include "common/base/str.h"

void json_print_text(FILE *out, const char *text)
{
    if (text == NULL) {
        fputs("null", out);
        return;
    }
    struct slice rest = slice_of(text);
    fputc('"', out);
    while (rest.len > 0) {
        unsigned char c = (unsigned char)*rest.data;
        size_t len = text_utf8_length(rest);
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else if (len == 0)
            fputc('?', out);
        else
            fwrite(rest.data, 1, len, out);
        rest = slice_skip(rest, len > 0 ? len : 1);
    }
    fputc('"', out);
}

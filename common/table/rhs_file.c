/* SPDX-License-Identifier: ISC */
/*
 * rhs_file: postmap -F. Private keys and certificates travel inside a table as base64 of the named files.
 * Called while a table is made from its source, with the rights to read those files, and at each lookup.
 */
#include "common/table/rhs_file.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/main_cf.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64_encode(struct slice data, struct str *out)
{
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)(unsigned char)data.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(unsigned char)data.data[i + 1] << 8;
        if (left > 2)
            bits |= (uint32_t)(unsigned char)data.data[i + 2];
        str_append_char(out, base64_digits[bits >> 18]);
        str_append_char(out, base64_digits[bits >> 12 & 63]);
        str_append_char(out, left > 1 ? base64_digits[bits >> 6 & 63] : '=');
        str_append_char(out, left > 2 ? base64_digits[bits & 63] : '=');
    }
}

bool rhs_file_decode(struct slice value, struct str *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    while (value.len > 0 && value.data[value.len - 1] == '=')
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        const char *digit = value.data[i] != '\0' ? strchr(base64_digits, value.data[i]) : NULL;
        if (digit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            str_append_char(out, (char)(bits >> have & 255));
        }
    }
    return true;
}

bool rhs_file_encode(struct text_source *source, struct text_entry *entry)
{
    struct str content = STR_EMPTY, encoded = STR_EMPTY;
    struct slice rest = entry->value, name;
    bool first = true, ok = true;
    while (ok && slice_next_token(&rest, ", \t\r\n", &name)) {
        char *path = mem_strndup(name.data, name.len);
        if (!first)
            str_append_char(&content, '\n');
        first = false;
        ok = config_read_file(path, &content);
        if (!ok)
            text_source_warn(source, "%s, line %u: open %s: %s: skipping this entry", source->file,
                             entry->line, path, strerror(errno));
        free(path);
    }
    base64_encode(str_slice(&content), &encoded);
    entry->value = slice_of(arena_slice(source->scratch, str_slice(&encoded)));
    mem_wipe(content.data != NULL ? content.data : (char[]){0}, content.len);
    str_free(&content);
    str_free(&encoded);
    return ok;
}

/* SPDX-License-Identifier: ISC */
/* postconf_json: -j, the same names and values as objects, one a line, for programs. */
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"

static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* Single blanks, as in what people see. */
static void print_member(FILE *out, const char *name, const char *value)
{
    struct str text = STR_EMPTY;
    struct slice rest = slice_of(value), word;
    while (slice_next_token(&rest, " \t\r\n", &word)) {
        if (text.len > 0)
            str_append_char(&text, ' ');
        str_append_slice(&text, word);
    }
    print_quoted(out, name);
    fputs(": ", out);
    print_quoted(out, str_text(&text));
    str_free(&text);
}

void postconf_print_json(FILE *out, const char *name, const char *value)
{
    fputc('{', out);
    print_member(out, name, value);
    fputs("}\n", out);
}

char *postconf_command_text(const struct master_fields *fields)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    struct printer printer = {memory, false, 0};
    if (memory == NULL)
        log_fatal("out of memory");
    printer_text(&printer, fields->words[MASTER_COMMAND]);
    printer.column = SIZE_MAX / 2; /* a short first word must not count as a folded line's indent */
    postconf_print_words(&printer, fields, MASTER_COLUMNS, 1);
    if (fclose(memory) != 0)
        log_fatal("out of memory");
    return text;
}

void postconf_print_json_entry(FILE *out, const struct master_fields *fields)
{
    char *command = postconf_command_text(fields);
    fputc('{', out);
    for (size_t i = 0; i < MASTER_COLUMNS; i++) {
        if (i > 0)
            fputs(", ", out);
        print_member(out, postconf_field_names[i], i == MASTER_COMMAND ? command : fields->words[i]);
    }
    fputs("}\n", out);
    free(command);
}

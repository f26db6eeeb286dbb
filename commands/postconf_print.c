/* SPDX-License-Identifier: ISC */
/* postconf_print: the layout of what postconf writes: single blanks, columns, lines folded at 80. */
#include "commands/postconf.h"

#define LINE_LIMIT 80
#define INDENT "    "
#define INDENT_LENGTH 4

void printer_text(struct printer *printer, const char *text)
{
    fputs(text, printer->out);
    printer->column += strlen(text);
}

static void fold_line(struct printer *printer)
{
    fputs("\n" INDENT, printer->out);
    printer->column = INDENT_LENGTH;
}

void postconf_print_text(FILE *out, bool fold, const char *text)
{
    struct printer printer = {out, fold, 0};
    struct slice rest = slice_of(text), word;
    while (slice_next_token(&rest, " \t\r\n", &word)) {
        if (printer.column > 0) {
            if (fold && printer.column + word.len >= LINE_LIMIT)
                fold_line(&printer);
            else
                printer_text(&printer, " ");
        }
        fprintf(out, "%.*s", SLICE_ARGS(word));
        printer.column += word.len;
    }
    fputc('\n', out);
}

static void break_before(struct printer *printer, size_t length)
{
    if (printer->column <= INDENT_LENGTH)
        return;
    if (printer->fold && printer->column + 1 + length >= LINE_LIMIT)
        fold_line(printer);
    else
        printer_text(printer, " ");
}

static bool has_blank(const char *text)
{
    return text[strcspn(text, " \t\r\n")] != '\0';
}

static void print_braced(struct printer *printer, const char *text)
{
    bool braces = has_blank(text);
    if (braces)
        printer_text(printer, "{");
    printer_text(printer, text);
    if (braces)
        printer_text(printer, "}");
}

/* An option with its value has a line of its own when lines are folded. */
static void print_setting(struct printer *printer, const char *option, const char *value,
                          size_t value_cost)
{
    printer->column = LINE_LIMIT;
    break_before(printer,
                 strlen(option) + strlen(value) + value_cost + (has_blank(value) ? 2 : 0));
    printer_text(printer, option);
    printer_text(printer, " ");
    print_braced(printer, value);
    printer->column = LINE_LIMIT;
}

void postconf_print_words(struct printer *printer, const struct master_fields *fields, size_t from,
                          size_t value_cost)
{
    size_t first_argument = master_fields_first_argument(fields);
    for (size_t i = from; i < fields->count; i++) {
        const char *word = fields->words[i];
        if (i < first_argument && strcmp(word, "-o") == 0 && i + 1 < fields->count) {
            print_setting(printer, word, fields->words[++i], value_cost);
            continue;
        }
        break_before(printer, strlen(word));
        if (i < first_argument)
            printer_text(printer, word);
        else
            print_braced(printer, word);
    }
}

void postconf_print_entry(FILE *out, bool fold, const struct master_fields *fields)
{
    static const size_t columns[MASTER_COLUMNS] = {0, 11, 17, 25, 33, 41, 49, 57};
    struct printer printer = {out, fold, 0};
    for (size_t i = 0; i < MASTER_COLUMNS; i++) {
        if (i > 0) {
            do
                printer_text(&printer, " ");
            while (printer.column < columns[i]);
        }
        printer_text(&printer, fields->words[i]);
    }
    postconf_print_words(&printer, fields, MASTER_COLUMNS, 3);
    fputc('\n', out);
}

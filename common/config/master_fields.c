/* SPDX-License-Identifier: ISC */
/*
 * master_fields: cuts a master.cf entry into words. Pure: from a logical line to an array in an arena,
 * or a sentence that says what is wrong. Called by master_cf.c and by postconf.
 */
#include "common/config/master_fields.h"

#include "common/config/config_internal.h"

struct word_list {
    struct arena *arena;
    char **words;
    size_t count, capacity;
};

static void add_word(struct word_list *list, struct slice text)
{
    if (list->count + 1 >= list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        char **larger = arena_alloc_array(list->arena, list->capacity, sizeof *larger);
        if (list->count > 0)
            memcpy(larger, list->words, list->count * sizeof *larger);
        list->words = larger;
    }
    list->words[list->count++] = arena_slice(list->arena, text);
}

static bool next_word(struct slice *rest, struct slice *word)
{
    while (rest->len > 0 && text_is_space(rest->data[0]))
        *rest = slice_skip(*rest, 1);
    size_t len = config_word_length(*rest, "");
    *word = slice_range(rest->data, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

/* Where the brace that opens the text closes; 0 when it does not. */
static size_t matching_brace(struct slice text)
{
    size_t level = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '{')
            level++;
        else if (text.data[i] == '}' && --level == 0)
            return i;
    }
    return 0;
}

/* "{ text }" to "text". */
static const char *take_off_braces(struct arena *arena, struct slice *word)
{
    size_t end = matching_brace(*word);
    if (end == 0)
        return arena_printf(arena, "missing '}' in \"%.*s\"", SLICE_ARGS(*word));
    if (end + 1 != word->len)
        return arena_printf(arena, "syntax error after '}' in \"%.*s\"", SLICE_ARGS(*word));
    *word = slice_trim(slice_range(word->data + 1, end - 1));
    return NULL;
}

/* The value of a -o option: "name=value", or "{ name = value }" with blanks anywhere. */
static const char *add_setting(struct word_list *list, struct slice word)
{
    struct slice name, value;
    const char *why;
    if (word.len == 0 || word.data[0] != '{') {
        add_word(list, word);
        return NULL;
    }
    const char *problem = take_off_braces(list->arena, &word);
    if (problem != NULL)
        return problem;
    if (!logical_line_split_setting(word, &name, &value, &why))
        return arena_printf(list->arena, "%s: \"%.*s\"", why, SLICE_ARGS(word));
    char *setting = arena_printf(list->arena, "%.*s=%.*s", SLICE_ARGS(name), SLICE_ARGS(value));
    add_word(list, slice_of(setting));
    return NULL;
}

/* One word that begins with '-', and the value that its 'o' asks for. */
static const char *add_option(struct word_list *list, struct slice word, struct slice *rest)
{
    const char *o = memchr(word.data + 1, 'o', word.len - 1);
    size_t flags = o != NULL ? (size_t)(o - word.data) : word.len;
    if (flags > 1 || o == NULL)
        add_word(list, slice_range(word.data, flags));
    if (o == NULL)
        return NULL;
    add_word(list, SLICE("-o"));
    struct slice value = slice_skip(word, flags + 1);
    if (value.len == 0 && !next_word(rest, &value))
        return "option -o needs a value";
    return add_setting(list, value);
}

static bool is_option(struct slice word)
{
    return word.len > 1 && word.data[0] == '-' && !slice_equal(word, SLICE("--"));
}

static const char *split_arguments(struct word_list *list, struct slice *rest)
{
    struct slice word;
    const char *problem = NULL;
    bool options = true;
    while (problem == NULL && next_word(rest, &word)) {
        if (list->count >= MASTER_MAX_WORDS)
            return "too many arguments";
        options = options && is_option(word);
        if (options) {
            problem = add_option(list, word, rest);
            continue;
        }
        if (word.data[0] == '{')
            problem = take_off_braces(list->arena, &word);
        if (problem == NULL)
            add_word(list, word);
    }
    return problem;
}

const char *master_fields_split(struct slice line, struct arena *arena, struct master_fields *fields)
{
    struct word_list list = {.arena = arena};
    struct slice rest = line, word;
    while (list.count < MASTER_COLUMNS && next_word(&rest, &word))
        add_word(&list, word);
    const char *problem = split_arguments(&list, &rest);
    fields->words = list.words;
    fields->count = list.count;
    return problem;
}

static bool is_option_word(const char *word)
{
    return is_option(slice_of(word));
}

size_t master_fields_next_option(const struct master_fields *fields, size_t from)
{
    size_t i = MASTER_COLUMNS;
    while (i < fields->count && is_option_word(fields->words[i])) {
        bool has_value = strcmp(fields->words[i], "-o") == 0 && i + 1 < fields->count;
        if (has_value && i + 1 >= from)
            return i + 1;
        i += has_value ? 2 : 1;
    }
    return 0;
}

size_t master_fields_first_argument(const struct master_fields *fields)
{
    size_t i = MASTER_COLUMNS;
    while (i < fields->count && is_option_word(fields->words[i]))
        i += strcmp(fields->words[i], "-o") == 0 ? 2 : 1;
    return i < fields->count ? i : fields->count;
}

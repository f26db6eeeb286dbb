/* SPDX-License-Identifier: ISC */
/*
 * postmap_message: postmap -h, -b and -m. Standard input is a message; its header lines, or the lines of its body, are the keys.
 * Without -m all behind the header is body. Called by postmap_query.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/postmap.h"
#include "common/base/log.h"
#include "common/cleanup/mime_state.h"

#define MOST_BYTES ((size_t)1 << 30)

static void read_message(struct str *text)
{
    ssize_t got;
    do {
        str_reserve(text, 65536);
        got = read(STDIN_FILENO, text->data + text->len, 65536);
        if (got < 0 && errno != EINTR)
            log_fatal("read standard input: %s", strerror(errno));
        if (got > 0)
            text->len += (size_t)got;
        text->data[text->len] = '\0';
    } while (got != 0 && text->len < MOST_BYTES);
}

void postmap_each_message_key(const struct postmap *options, void (*use)(void *context, struct slice key), void *context)
{
    struct mime_rules rules = {
        .header_limit = (size_t)config_int(options->config, "header_size_limit"),
        .boundary_limit = (size_t)config_int(options->config, "mime_boundary_length_limit"),
        .nesting_limit = (unsigned)config_int(options->config, "mime_nesting_limit"),
        .line_limit = MOST_BYTES,
        .is_disabled = !options->mime,
    };
    bool only_first_header = options->headers && !options->body && !options->mime;
    struct mime_state state;
    struct mime_item item;
    struct str text = STR_EMPTY;
    read_message(&text);
    struct slice rest = str_slice(&text);
    mime_init(&state, &rules);
    while (mime_next(&state, &rest, true, &item) && !(only_first_header && item.part == MIME_BODY))
        if (item.part == MIME_BODY ? options->body : options->headers)
            use(context, item.text);
    mime_free(&state);
    str_free(&text);
}

/* SPDX-License-Identifier: ISC */
/*
 * table_query: tables and the address resolver by hand, for tests. Reads "mode argument" lines and prints one line
 * each; all of them run at once on fibers, so it also shows that lookups do not wait for each other.
 *
 *   table_query -c CONFIG_DIR [-d DEADLINE_MS] [-t] < lines      (-t: print the milliseconds each took)
 *
 *   find SPEC KEY | rewrite ADDRESS | resolve SENDER ADDRESS | expand ADDRESS | check ADDRESS | sleep MS
 *   search PARAMETER KIND KEY (the parameter's tables, enum table_key_kind by number)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/resolve.h"

static struct config *config;
static struct resolver *resolver;
static int64_t deadline_ms = 10000;
static bool show_time;
static size_t running;
static struct fiber *reader;

struct query {
    unsigned number;
    char *words[4];
    size_t count;
    char *line;
};

static const char *word(const struct query *query, size_t index)
{
    const char *text = index < query->count ? query->words[index] : "";
    return strcmp(text, "<>") == 0 ? "" : text;
}

static void print_status(struct str *out, enum table_status status, const char *value)
{
    static const char *const names[] = {"found", "not-found", "error"};
    str_printf(out, "%s%s%s", names[status], status == TABLE_FOUND ? " " : "", status == TABLE_FOUND ? value : "");
}

/* As lookup does, a table stays open: the first lookup of each leaves a reference here, closed at the end. */
static struct table **kept;
static size_t kept_count;

static struct table *keep_open(const char *spec)
{
    for (size_t i = 0; i < kept_count; i++)
        if (strcmp(table_spec(kept[i]), spec) == 0)
            return kept[i];
    kept = mem_realloc_array(kept, kept_count + 1, sizeof(struct table *));
    kept[kept_count] = table_open(spec, config, TABLE_FOLD_KEY);
    return kept[kept_count++];
}

static void close_kept(void)
{
    for (size_t i = 0; i < kept_count; i++)
        table_close(kept[i]);
    free(kept);
}

static void run_find(const struct query *query, int64_t deadline, struct str *out)
{
    struct str value = STR_EMPTY;
    struct table *table = keep_open(word(query, 1));
    enum table_status status = table_find(table, slice_of(word(query, 2)), &value, deadline);
    print_status(out, status, str_text(&value));
    str_free(&value);
}

static void run_search(const struct query *query, struct arena *arena, int64_t deadline, struct str *out)
{
    struct found found;
    const char *parameter = word(query, 1);
    struct maps *maps = maps_open(parameter, config_string(config, parameter), config, TABLE_FOLD_KEY);
    enum table_status status = resolve_find_kind(resolver, maps, (enum table_key_kind)atoi(word(query, 2)), word(query, 3), arena,
                                                 deadline, &found);
    print_status(out, status, str_text(&found.value));
    str_free(&found.value);
    maps_close(maps);
}

static void run_resolve(const struct query *query, struct arena *arena, int64_t deadline, struct str *out)
{
    struct resolution r;
    resolve_address(resolver, word(query, 1), word(query, 2), arena, deadline, &r);
    unsigned flags = (r.routed ? 2u : 0) | (r.bad_syntax ? 4u : 0) | (r.failed ? 8u : 0);
    if (!r.failed)
        flags |= 256u << r.address_class;
    str_printf(out, "%u %s|%s|%s", flags, r.transport, r.next_hop, r.address);
}

static void run_address(const struct query *query, bool expand, struct arena *arena, int64_t deadline, struct str *out)
{
    static const char *const names[] = {"valid", "unknown", "error"};
    struct address_answer answer;
    resolve_question(resolver, word(query, 1), expand ? ADDRESS_EXPAND : 0, arena, deadline, &answer);
    str_printf(out, "%s %s%s class=%d %s", names[answer.validity], answer.unknown_in, answer.failed_table,
               answer.address_class, answer.address);
    for (size_t i = 0; i < answer.expanded_count; i++)
        str_printf(out, " [%s]", answer.expanded[i]);
    if (answer.expansion_failed)
        str_printf(out, " failed: %s", answer.expansion_reason);
}

static void run_query(void *arg)
{
    struct query *query = arg;
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    int64_t started = clock_ms(), deadline = started + deadline_ms;
    const char *mode = word(query, 0);
    char *rewritten;
    str_printf(&out, "%u ", query->number);
    if (strcmp(mode, "find") == 0) {
        run_find(query, deadline, &out);
    } else if (strcmp(mode, "search") == 0) {
        run_search(query, arena, deadline, &out);
    } else if (strcmp(mode, "rewrite") == 0) {
        resolve_rewrite(resolver, word(query, 1), arena, &rewritten);
        str_append(&out, rewritten);
    } else if (strcmp(mode, "resolve") == 0) {
        run_resolve(query, arena, deadline, &out);
    } else if (strcmp(mode, "expand") == 0 || strcmp(mode, "check") == 0) {
        run_address(query, *mode == 'e', arena, deadline, &out);
    }
    if (show_time)
        str_printf(&out, " (%lld ms)", (long long)(clock_ms() - started));
    puts(str_text(&out));
    if (fiber_self() != reader) /* which flushes when it has nothing more to read */
        fflush(stdout);
    str_free(&out);
    arena_free(arena);
    free(query->line);
    free(query);
    running--;
}

/* Words are separated by tabs, so that keys may hold blanks. */
static struct query *parse_query(char *line, unsigned number)
{
    struct query *query = mem_alloc(sizeof *query);
    query->number = number;
    query->line = line;
    for (char *text = line; text != NULL && query->count < 4;) {
        char *tab = query->count < 3 ? strchr(text, '\t') : NULL;
        if (tab != NULL)
            *tab++ = '\0';
        query->words[query->count++] = text;
        text = tab;
    }
    return query;
}

/* A line of standard input, without its end; NULL at its end. Other fibers run meanwhile. */
static char *read_line(struct fiber_fd *input, struct str *buffer)
{
    for (;;) {
        char chunk[4096];
        const char *newline = memchr(str_text(buffer), '\n', buffer->len);
        if (newline != NULL) {
            size_t len = (size_t)(newline - buffer->data);
            char *line = mem_strndup(buffer->data, len);
            memmove(buffer->data, buffer->data + len + 1, buffer->len - len - 1);
            str_truncate(buffer, buffer->len - len - 1);
            return line;
        }
        ssize_t got = read(input->fd, chunk, sizeof chunk);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return NULL;
        if (got > 0)
            str_append_bytes(buffer, chunk, (size_t)got);
        else if (fflush(stdout) != 0 || fiber_wait_fd(input, FIBER_READ, CLOCK_NEVER) != WAIT_OK)
            return NULL;
    }
}

static void ask(char *line, unsigned number)
{
    struct query *query = parse_query(line, number);
    running++;
    /* As lookup does: only what may wait for somebody gets a fiber of its own. */
    bool is_find = strcmp(word(query, 0), "find") == 0;
    if (is_find && !table_may_wait(keep_open(word(query, 1))))
        run_query(query);
    else
        fiber_spawn("query", run_query, query);
}

static void read_queries(void *arg UNUSED)
{
    struct fiber_fd input;
    struct str buffer = STR_EMPTY;
    unsigned number = 0;
    char *line;
    int fd = dup(STDIN_FILENO);
    if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        log_fatal("standard input: %s", strerror(errno));
    fiber_fd_init(&input, fd);
    reader = fiber_self();
    while ((line = read_line(&input, &buffer)) != NULL) {
        if (strncmp(line, "sleep\t", 6) == 0) {
            enum wait_status status = fiber_sleep_until(deadline_in_ms(atoi(line + 6)));
            free(line);
            if (status != WAIT_OK)
                break;
        } else {
            ask(line, ++number);
        }
    }
    str_free(&buffer);
    fiber_fd_close(&input);
    while (running > 0)
        if (fiber_sleep_until(deadline_in_ms(5)) != WAIT_OK)
            break;
    fiber_loop_stop();
}

int main(int argc, char **argv)
{
    struct config_problems problems = {0};
    const char *directory = ".";
    int letter;
    while ((letter = getopt(argc, argv, "c:d:t")) != -1) {
        if (letter == 'c')
            directory = optarg;
        else if (letter == 'd')
            deadline_ms = atoi(optarg);
        else if (letter == 't')
            show_time = true;
        else
            return 2;
    }
    config = config_load(directory, &problems);
    if (config == NULL)
        log_fatal("no configuration in %s", directory);
    fiber_loop_init();
    resolver = resolver_new(config);
    fiber_spawn("reader", read_queries, NULL);
    fiber_loop_run();
    close_kept();
    resolver_free(resolver);
    config_problems_free(&problems);
    config_free(config);
    return 0;
}

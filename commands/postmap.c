/* SPDX-License-Identifier: ISC */
/*
 * postmap(1), postalias(1), newaliases(1): make lookup tables out of their texts, and ask, list and change tables.
 * One program; its name says which. Run by anybody; root becomes the owner of a source text while it writes
 * what is made from it. A problem ends it with status 1 and a line on standard error.
 */
#include "commands/postmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands/control_client.h"
#include "common/base/log.h"
#include "common/base/mem.h"

static void usage(const struct postmap *options)
{
    log_fatal("usage: %s [-%s] [-c config_dir] [-d key] [-q key] [map_type:]file...", options->program,
              options->aliases ? "Nfinoprsuvw" : "bfFhimnNoprsuUvw");
}

static void use_configuration(const char *directory)
{
    if (setenv("MAIL_CONFIG", directory, 1) < 0)
        log_fatal("setenv: %s", strerror(errno));
}

static void take_mode(const struct postmap *options, int letter)
{
    if (options->query != NULL || options->delete != NULL || options->list)
        log_fatal("specify only one of -s%s -q or -d", letter == 's' ? " or" : "");
}

static void take_option(struct postmap *options, int letter)
{
    switch (letter) {
    case 'b': options->body = true; break;
    case 'c': use_configuration(optarg); break;
    case 'd': take_mode(options, letter); options->delete = optarg; break;
    case 'f': options->fold = false; break;
    case 'F': options->rhs_is_file = true; break;
    case 'h': options->headers = true; break;
    case 'i': options->incremental = true; break;
    case 'm': options->mime = true; break;
    case 'n': options->include_nul = false; break;
    case 'N': options->include_nul = true; break;
    case 'o': options->keep_root = true; break;
    case 'p': options->default_mode = true; break;
    case 'q': take_mode(options, letter); options->query = optarg; break;
    case 'r': options->duplicates = DUPLICATE_REPLACE; break;
    case 's': take_mode(options, letter); options->list = true; break;
    case 'u': options->only_utf8 = false; break;
    case 'U': options->message_utf8 = true; break;
    case 'v': log_set_verbose(true); break;
    case 'w': options->duplicates = DUPLICATE_IGNORE; break;
    default: usage(options);
    }
}

static void check_options(const struct postmap *options)
{
    bool from_stdin = options->query != NULL && strcmp(options->query, "-") == 0;
    if ((options->headers || options->body) && !from_stdin)
        log_fatal("specify -b -h or -m only with \"-q -\"");
    if (options->mime && !options->headers && !options->body)
        log_warning("ignoring -m option without -b or -h");
}

/* "file" stands for "default_database_type:file". */
static char *full_spec(const struct postmap *options, const char *argument)
{
    if (strchr(argument, ':') != NULL)
        return mem_strdup(argument);
    return mem_printf("%s:%s", config_string(options->config, "default_database_type"), argument);
}

static char **full_specs(const struct postmap *options, char **arguments, size_t count)
{
    char **specs = mem_alloc_array(count + 1, sizeof *specs);
    for (size_t i = 0; i < count; i++)
        specs[i] = full_spec(options, arguments[i]);
    return specs;
}

/* newaliases(1): everything in alias_database. */
static int make_all_aliases(struct postmap *options)
{
    struct arena *arena = arena_new();
    char **specs;
    size_t count = config_split_list(config_string(options->config, "alias_database"), arena, &specs);
    for (size_t i = 0; i < count; i++) {
        char *spec = full_spec(options, specs[i]);
        postmap_create(options, spec);
        free(spec);
    }
    arena_free(arena);
    return 0;
}

static int run(struct postmap *options, char **arguments, size_t count)
{
    char **specs = full_specs(options, arguments, count);
    int status = 0;
    if (options->list)
        status = postmap_list(options, specs[0]); /* the others are not looked at */
    else if (options->query != NULL)
        status = postmap_query(options, specs, count);
    else if (options->delete != NULL)
        status = postmap_delete(options, specs, count);
    else
        for (size_t i = 0; i < count; i++)
            postmap_create(options, specs[i]);
    for (size_t i = 0; i < count; i++)
        free(specs[i]);
    free(specs);
    return status;
}

static const char *program_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    const char *name = program_name(argv[0]);
    bool new_aliases = strcmp(name, "newaliases") == 0;
    struct postmap options = {
        .program = new_aliases || strstr(name, "postalias") != NULL ? "postalias" : "postmap",
        .aliases = new_aliases || strstr(name, "postalias") != NULL,
        .fold = true,
        .only_utf8 = true,
    };
    struct log_options early = {.sink = LOG_TO_STDERR, .fd = -1, .component = options.program};
    int letter;
    log_open(&early);
    while ((letter = getopt(argc, argv, options.aliases ? "Nc:d:finopq:rsuvw" : "bc:d:fFhimnNopq:rsuUvw")) != -1)
        take_option(&options, letter);
    size_t count = (size_t)(argc - optind);
    struct config *config = NULL;
    if (!new_aliases && count == 0)
        usage(&options);
    check_options(&options);
    config = control_load_config();
    options.config = config;
    bool is_message = options.headers || options.body;
    options.only_utf8 = options.only_utf8 && config_bool(config, "smtputf8_enable") && (!is_message || options.message_utf8);
    umask(022);
    int status = new_aliases ? make_all_aliases(&options) : run(&options, argv + optind, count);
    if (fflush(stdout) != 0 || ferror(stdout))
        log_fatal("write error: %s", strerror(errno));
    config_free(config);
    return status;
}

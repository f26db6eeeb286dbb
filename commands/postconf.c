/* SPDX-License-Identifier: ISC */
/*
 * postconf: shows and edits the configuration. Run by people and scripts, as root or not; it holds
 * whatever rights its caller has and needs no more than to read (or, for edits, replace) the two files. Problems
 * go to standard error; a fatal one ends it with status 1.
 */
#include "commands/postconf.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

enum listing {
    LIST_NOTHING,
    LIST_TABLES,
    LIST_LOCKS,
    LIST_SASL_SERVER,
    LIST_SASL_CLIENT,
    LIST_TEMPLATES,
    LIST_EXPANDED_TEMPLATES,
    LIST_TLS,
};

struct command_line {
    struct postconf_options options;
    enum listing listing;
    const char *tls_mode; /* -T */
    unsigned subjects; /* how often -p, -M, -F or -P was given */
    unsigned actions;  /* how often -e, -X or -# was given */
};

static void usage(void) NORETURN;

static void usage(void)
{
    log_fatal("usage: postconf [-a] [-A] [-b] [-c config_dir] [-C class] [-d] [-e] [-f] [-F] [-h] [-H] "
              "[-j] [-l] [-m] [-M] [-n] [-o name=value] [-p] [-P] [-t] "
              "[-T compile-version|run-version|public-key-algorithms] [-v] [-x] [-X] [-#] [name...]");
}

static unsigned parse_classes(const char *text)
{
    static const struct {
        const char *name;
        unsigned class;
    } classes[] = {{"builtin", CLASS_BUILTIN}, {"service", CLASS_SERVICE}, {"user", CLASS_USER}, {"all", CLASS_ALL}};
    struct slice rest = slice_of(text), word;
    unsigned result = 0;
    while (slice_next_token(&rest, ", \t", &word)) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
            if (slice_equal(word, slice_of(classes[i].name)))
                found = classes[i].class;
        if (found == 0)
            log_fatal("unknown -C name: %s", text);
        result |= found;
    }
    return result;
}

static void choose_subject(struct command_line *line, enum postconf_subject subject)
{
    if (line->subjects > 0 && line->options.subject != subject)
        log_fatal("specify one of -p, -M, -F or -P");
    line->options.subject = subject;
    line->subjects++;
}

static void choose_action(struct command_line *line, enum postconf_action action)
{
    enum postconf_action earlier = line->options.action;
    if (line->actions > 0 && earlier != action)
        log_fatal("specify one of%s%s%s",
                  earlier == ACTION_SET || action == ACTION_SET ? " -e" : "",
                  earlier == ACTION_COMMENT_OUT || action == ACTION_COMMENT_OUT ? " -#" : "",
                  earlier == ACTION_DELETE || action == ACTION_DELETE ? " -X" : "");
    line->options.action = action;
    line->actions++;
}

static void choose_templates(struct command_line *line, enum listing listing)
{
    if (line->listing != LIST_NOTHING && line->listing != listing)
        log_fatal("specify one of -b and -t");
    line->listing = listing;
}

static void add_override(struct postconf_options *options, char *text)
{
    options->overrides = mem_realloc_array(options->overrides, options->override_count + 1,
                                           sizeof *options->overrides);
    options->overrides[options->override_count++] = text;
}

static void parse_option(struct command_line *line, int option)
{
    struct postconf_options *options = &line->options;
    switch (option) {
    case 'a': line->listing = LIST_SASL_SERVER; break;
    case 'A': line->listing = LIST_SASL_CLIENT; break;
    case 'l': line->listing = LIST_LOCKS; break;
    case 'm': line->listing = LIST_TABLES; break;
    case 'b': choose_templates(line, LIST_EXPANDED_TEMPLATES); break;
    case 't': choose_templates(line, LIST_TEMPLATES); break;
    case 'T':
        line->listing = LIST_TLS;
        line->tls_mode = optarg;
        break;
    case 'j': options->json = true; break;
    case 'c':
        options->directory = optarg;
        options->directory_given = true;
        break;
    case 'C': options->classes = parse_classes(optarg); break;
    case 'd': options->defaults = true; break;
    case 'n': options->only_set = true; break;
    case 'f': options->fold = true; break;
    case 'h': options->hide_name = true; break;
    case 'H': options->hide_value = true; break;
    case 'x': options->evaluate = true; break;
    case 'o': add_override(options, optarg); break;
    case 'p': choose_subject(line, SUBJECT_MAIN); break;
    case 'M': choose_subject(line, SUBJECT_ENTRIES); break;
    case 'F': choose_subject(line, SUBJECT_FIELDS); break;
    case 'P': choose_subject(line, SUBJECT_PARAMETERS); break;
    case 'e': choose_action(line, ACTION_SET); break;
    case 'X': choose_action(line, ACTION_DELETE); break;
    case '#': choose_action(line, ACTION_COMMENT_OUT); break;
    case 'v': break;
    default: usage();
    }
}

static void parse_command_line(struct command_line *line, int argc, char **argv)
{
    int option;
    const char *directory = getenv("MAIL_CONFIG");
    line->options.directory = directory != NULL ? directory : POSTHORN_CONFIG_DIRECTORY;
    line->options.directory_given = directory != NULL;
    line->options.classes = CLASS_ALL;
    while ((option = getopt(argc, argv, "+aAbc:C:defFhHjlmMno:pPtT:vxX#")) != -1)
        parse_option(line, option);
    line->options.arguments = argv + optind;
    const char *first = line->options.arguments[0];
    if (first != NULL && strchr(first, '=') != NULL)
        choose_action(line, ACTION_SET);
}

static void check_command_line(const struct command_line *line)
{
    const struct postconf_options *options = &line->options;
    bool edit = options->action != ACTION_SHOW;
    if (options->defaults && options->only_set)
        log_fatal("specify one of -d -n");
    if (options->subject != SUBJECT_MAIN && (options->defaults || options->only_set))
        log_fatal("with option -M, -F or -P, do not specify -d or -n");
    if (edit && (options->defaults || options->only_set || options->evaluate || options->fold ||
                 options->hide_name || options->hide_value))
        log_fatal("with option -e, -X or -#, do not specify -d, -n, -x, -f, -h or -H");
    if (options->json && (edit || options->fold || options->hide_name || options->hide_value ||
                          line->listing != LIST_NOTHING))
        log_fatal("with option -j, do not specify -a, -A, -b, -e, -f, -h, -H, -l, -m, -t, -T, -X or -#");
    if (options->action == ACTION_SET && options->arguments[0] == NULL)
        log_fatal("-e requires name=value argument");
    if (edit && options->arguments[0] == NULL)
        log_fatal("missing service argument");
    if (options->subject == SUBJECT_FIELDS && edit && options->action != ACTION_SET)
        log_fatal("with option -F, do not specify -X or -#");
    if (options->subject == SUBJECT_PARAMETERS && options->action == ACTION_COMMENT_OUT)
        log_fatal("with option -P, do not specify -#");
}

static void list(const struct command_line *line)
{
    switch (line->listing) {
    case LIST_TABLES: postconf_show_table_types(); break;
    case LIST_LOCKS: postconf_show_lock_methods(); break;
    case LIST_SASL_SERVER: postconf_show_sasl_types(true); break;
    case LIST_SASL_CLIENT: postconf_show_sasl_types(false); break;
    case LIST_TEMPLATES: postconf_show_templates(&line->options, false); break;
    case LIST_EXPANDED_TEMPLATES: postconf_show_templates(&line->options, true); break;
    case LIST_TLS: postconf_show_tls(line->tls_mode); break;
    case LIST_NOTHING: break;
    }
}

static void run(const struct command_line *line)
{
    const struct postconf_options *options = &line->options;
    bool main_cf = options->subject == SUBJECT_MAIN;
    if (line->listing != LIST_NOTHING)
        list(line);
    else if (options->action != ACTION_SHOW && main_cf)
        postconf_edit_main(options);
    else if (options->action != ACTION_SHOW)
        postconf_edit_master(options);
    else if (main_cf)
        postconf_show_main(options);
    else
        postconf_show_master(options);
}

/* A program started without standard descriptors must not write its output into main.cf. */
static void open_standard_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            abort();
}

int main(int argc, char **argv)
{
    struct command_line line = {0};
    open_standard_descriptors();
    umask(022);
    log_open(&(struct log_options){.sink = LOG_TO_STDERR, .component = "postconf"});
    parse_command_line(&line, argc, argv);
    check_command_line(&line);
    run(&line);
    free(line.options.overrides);
    if (fflush(stdout) != 0 || ferror(stdout))
        log_fatal("cannot write to standard output");
    return 0;
}

/* SPDX-License-Identifier: ISC */
/* What the parts of postconf share. */
#ifndef POSTHORN_COMMANDS_POSTCONF_H
#define POSTHORN_COMMANDS_POSTCONF_H

#include <stdio.h>

#include "common/config/config.h"
#include "common/config/master_cf.h"
#include "common/config/master_fields.h"
#include "common/config/references.h"

enum postconf_subject { SUBJECT_MAIN, SUBJECT_ENTRIES, SUBJECT_FIELDS, SUBJECT_PARAMETERS };
enum postconf_action { ACTION_SHOW, ACTION_SET, ACTION_DELETE, ACTION_COMMENT_OUT };

/* Which parameters -C selects. */
enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct postconf_options {
    const char *directory;
    bool directory_given; /* by -c or MAIL_CONFIG: then it counts as a setting */
    enum postconf_subject subject;
    enum postconf_action action;
    bool defaults;     /* -d */
    bool only_set;     /* -n */
    bool hide_name;    /* -h */
    bool hide_value;   /* -H */
    bool evaluate;     /* -x */
    bool fold;         /* -f */
    bool json;         /* -j */
    unsigned classes;  /* -C */
    char **overrides;  /* -o name=value, NULL-terminated */
    size_t override_count;
    char **arguments;  /* what follows the options, NULL-terminated */
};

/* One entry of master.cf as it is written. */
struct postconf_entry {
    struct master_fields fields;
    unsigned line;
};

struct postconf_entries {
    struct arena *arena;
    struct postconf_entry *list;
    size_t count;
};

/* --- postconf_print.c --- */
struct printer {
    FILE *out;
    bool fold;
    size_t column;
};
/* "name = value" with single blanks, folded when asked for. */
void postconf_print_text(FILE *out, bool fold, const char *text);
void postconf_print_entry(FILE *out, bool fold, const struct master_fields *fields);
/* The words from FROM on, as a command and its arguments. */
void postconf_print_words(struct printer *printer, const struct master_fields *fields, size_t from,
                          size_t value_cost);
void printer_text(struct printer *printer, const char *text);

/* --- postconf_json.c --- */
/* {"name": "value"} */
void postconf_print_json(FILE *out, const char *name, const char *value);
/* {"service": ..., "type": ..., ...} */
void postconf_print_json_entry(FILE *out, const struct master_fields *fields);
/* The command of an entry with its options and arguments; the caller frees it. */
char *postconf_command_text(const struct master_fields *fields);

/* --- postconf_templates.c, postconf_tls.c --- */
void postconf_show_templates(const struct postconf_options *options, bool expand);
void postconf_show_tls(const char *mode);

/* --- postconf_main_cf.c --- */
void postconf_show_main(const struct postconf_options *options);
struct config *postconf_load_main(const struct postconf_options *options);
void postconf_load_services(const struct postconf_options *options, bool required,
                            struct service_table *services);
/* $names without a value: said before anything is shown. */
void postconf_warn_undefined(const struct postconf_options *options, const struct config *config,
                             const struct service_table *services);
/* Settings that nothing uses: said at the end. */
void postconf_warn_unused(const struct postconf_options *options, const struct config *config,
                          const struct service_table *services, bool main_too);

/* --- postconf_master_cf.c --- */
void postconf_show_master(const struct postconf_options *options);
/* Parses one entry, or ends with a fatal error that names WHERE. */
struct postconf_entry postconf_parse_entry(struct arena *arena, struct slice text, unsigned line,
                                           const char *where);

/* --- postconf_match.c --- */
/* "name/type/rest" with "*" for any; missing parts are "*". */
struct postconf_pattern {
    const char *text;
    const char *parts[3];
    unsigned matches;
};
bool postconf_pattern_parse(const char *text, size_t least, size_t most, struct arena *arena,
                            struct postconf_pattern *pattern);
bool postconf_pattern_matches(const struct postconf_pattern *pattern, const char *name,
                              const char *type);
bool postconf_is_any(const char *part);
/* The column of a field's name ("wakeup"), or ends with a fatal error; -1 for "*". */
int postconf_field_column(const char *name);
extern const char *const postconf_field_names[MASTER_COLUMNS];

/* --- postconf_edit_main.c, postconf_edit_master.c --- */
void postconf_edit_main(const struct postconf_options *options);
void postconf_edit_master(const struct postconf_options *options);

/* --- postconf_file.c --- */
/* A file being replaced as a whole: nobody ever sees half of it. */
struct replacement {
    char *path, *temporary;
    int directory_fd; /* locked, so that two edits do not overlap */
    struct str old_text, new_text;
};
void replacement_begin(struct replacement *replacement, const char *directory, const char *name);
void replacement_commit(struct replacement *replacement);

/* Takes a line, its newline included, off the front of *rest. */
bool postconf_next_line(struct slice *rest, struct slice *line);
bool postconf_is_comment(struct slice line);

/* --- postconf_types.c --- */
void postconf_show_table_types(void);
void postconf_show_lock_methods(void);
void postconf_show_sasl_types(bool server);

#endif

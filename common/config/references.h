/* SPDX-License-Identifier: ISC */
/*
 * Which of the admin's own parameter names serve a purpose, and which are misspelt. A name that the
 * table does not have is in use when something refers to it: a $name in any value or default, a
 * restriction class, a "type:name" table whose settings are in main.cf, or a transport in master.cf.
 */
#ifndef POSTHORN_CONFIG_REFERENCES_H
#define POSTHORN_CONFIG_REFERENCES_H

#include "common/config/config.h"
#include "common/config/master_cf.h"

struct config_references;

/* SERVICES may be NULL when master.cf is not known: then a name with the suffix of a transport's
 * family ("..._destination_recipient_limit") counts as in use. Both must outlive the result. */
struct config_references *config_references_new(const struct config *config,
                                                const struct service_table *services);
void config_references_free(struct config_references *references);

/* Whether main.cf's setting of this name has any effect. */
bool config_references_use_main(const struct config_references *references, const char *name);
/* Whether this service's "-o name=..." has any effect. */
bool config_references_use_override(const struct config_references *references,
                                    const struct service *service, const char *name);

/* Of several overrides with one name the last counts. */
bool config_override_counts(const struct service *service, size_t index);

typedef void config_undefined_visitor(void *context, const char *name, bool in_master_cf);
/* Calls visit for every $name, once each, that has neither a setting nor a default. */
void config_references_visit_undefined(const struct config_references *references,
                                       config_undefined_visitor *visit, void *context);

/* "lmtp_destination_recipient_limit" is of the family of a service that delivers; *fallback is the
 * parameter that holds when it is not set. */
bool config_is_family_name(const char *name, const struct service_table *services,
                           const char **fallback);
/* The suffixes that a service's program has: pipe all, spawn one, other deliveries all but one. */
bool config_family_applies(const struct service *service, const char *suffix);

#endif

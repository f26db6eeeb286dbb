/* SPDX-License-Identifier: ISC */
/*
 * Which of many networks, tried in turn, is the first that holds an address: answered by one binary search, however many
 * there are. Pure.
 */
#ifndef POSTHORN_TABLE_CIDR_INDEX_H
#define POSTHORN_TABLE_CIDR_INDEX_H

#include "common/table/cidr.h"

#define CIDR_NO_STEP SIZE_MAX

/* One line of a cidr: table. */
struct cidr_step {
    enum pattern_operation operation;
    bool negated;
    struct cidr_network network; /* of a rule and an IF */
};

struct cidr_index;

struct cidr_index *cidr_index_new(const struct cidr_step *steps, size_t count);
void cidr_index_free(struct cidr_index *index);
/* The rule (as an index into steps) that comes first for the address, or CIDR_NO_STEP. */
size_t cidr_index_find(const struct cidr_index *index, const struct cidr_address *address);

#endif

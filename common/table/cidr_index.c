/* SPDX-License-Identifier: ISC */
/*
 * cidr_index: the networks of a table cut the addresses of a family into stretches, in each of which the same rule comes
 * first. Made by cidr.c when a table is read: the rules go through in order, and each takes those stretches of its
 * network that no earlier one has taken. Within if ... endif only the stretches of the if are there to be taken.
 */
#include "common/table/cidr_index.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct number {
    uint64_t high, low; /* an IPv4 address: its 32 bits are the lowest */
};

struct cidr_stretch {
    struct number first; /* it ends where the next one begins */
    size_t step;
};

struct cidr_family {
    struct cidr_stretch *list;
    size_t count;
};

struct cidr_index {
    struct cidr_family ipv4, ipv6;
};

/* --- addresses as numbers ----------------------------------------------------------------- */

static uint64_t number_from_bytes(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static struct number address_number(const struct cidr_address *address)
{
    if (address->family == AF_INET)
        return (struct number){0, number_from_bytes(address->bytes, 4)};
    return (struct number){number_from_bytes(address->bytes, 8), number_from_bytes(address->bytes + 8, 8)};
}

static bool number_is_after(struct number a, struct number b)
{
    return a.high != b.high ? a.high > b.high : a.low > b.low;
}

/* What follows the network's last address; false when there is nothing. */
static bool number_behind(const struct cidr_network *network, struct number *behind)
{
    unsigned host_bits = (network->address.family == AF_INET ? 32 : 128) - network->prefix;
    *behind = address_number(&network->address);
    if (network->address.family == AF_INET) {
        behind->low += (uint64_t)1 << host_bits;
        return behind->low <= UINT32_MAX;
    }
    if (host_bits < 64) {
        behind->low += (uint64_t)1 << host_bits;
        if (behind->low != 0)
            return true;
        host_bits = 64;
    }
    if (host_bits == 128)
        return false;
    behind->high += (uint64_t)1 << (host_bits - 64);
    return behind->high != 0;
}

/* --- looking up --------------------------------------------------------------------------- */

/* The stretch that the number is in. */
static size_t find_stretch(const struct cidr_family *family, struct number number)
{
    size_t low = 0, high = family->count; /* list[low] begins at or before the number, list[high] after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (number_is_after(family->list[middle].first, number))
            high = middle;
        else
            low = middle;
    }
    return low;
}

size_t cidr_index_find(const struct cidr_index *index, const struct cidr_address *address)
{
    const struct cidr_family *family = address->family == AF_INET ? &index->ipv4 : &index->ipv6;
    return family->list[find_stretch(family, address_number(address))].step;
}

/* --- cutting ------------------------------------------------------------------------------ */

static int compare_stretches(const void *a, const void *b)
{
    const struct cidr_stretch *left = a, *right = b;
    return number_is_after(left->first, right->first) - number_is_after(right->first, left->first);
}

static void cut_at(struct cidr_family *family, struct number first)
{
    family->list[family->count++] = (struct cidr_stretch){.first = first, .step = CIDR_NO_STEP};
}

/* A stretch for each piece between two ends of networks. */
static void cut_family(struct cidr_family *family, int which, const struct cidr_step *steps, size_t count)
{
    struct number behind;
    family->list = mem_alloc_array(2 * count + 1, sizeof *family->list);
    cut_at(family, (struct number){0, 0});
    for (size_t i = 0; i < count; i++) {
        if (steps[i].operation == PATTERN_ENDIF || steps[i].network.address.family != which)
            continue;
        cut_at(family, address_number(&steps[i].network.address));
        if (number_behind(&steps[i].network, &behind))
            cut_at(family, behind);
    }
    qsort(family->list, family->count, sizeof *family->list, compare_stretches);
    size_t kept = 1;
    for (size_t i = 1; i < family->count; i++)
        if (number_is_after(family->list[i].first, family->list[kept - 1].first))
            family->list[kept++] = family->list[i];
    family->count = kept;
}

/* --- who comes first ---------------------------------------------------------------------- */

struct piece {
    size_t from, to; /* of stretches, `to` is not in it */
};

/* Sorted, without overlap. */
struct pieces {
    struct piece *list;
    size_t count;
};

struct builder {
    struct cidr_family *family;
    int which;
    size_t *next_free; /* of each stretch: itself while nobody took it, else one nearer to the next free one */
    struct pieces *scopes; /* of the IFs around, the innermost last */
    size_t depth;
};

static void pieces_add(struct pieces *pieces, size_t from, size_t to)
{
    if (from < to)
        pieces->list[pieces->count++] = (struct piece){from, to};
}

/* What of `scope` the step matches; the list is the caller's. */
static struct pieces matched_pieces(const struct builder *builder, const struct pieces *scope, const struct cidr_step *step)
{
    struct pieces matched = {.list = mem_alloc_array(2 * scope->count + 1, sizeof *matched.list)};
    struct number behind;
    if (step->network.address.family != builder->which)
        return matched;
    size_t from = find_stretch(builder->family, address_number(&step->network.address)), to = builder->family->count;
    if (number_behind(&step->network, &behind))
        to = find_stretch(builder->family, behind);
    for (size_t i = 0; i < scope->count; i++) {
        struct piece piece = scope->list[i];
        size_t start = from > piece.from ? from : piece.from, end = to < piece.to ? to : piece.to;
        if (!step->negated) {
            pieces_add(&matched, start, end);
        } else {
            pieces_add(&matched, piece.from, from < piece.to ? from : piece.to);
            pieces_add(&matched, to > piece.from ? to : piece.from, piece.to);
        }
    }
    return matched;
}

static size_t first_free(const struct builder *builder, size_t stretch)
{
    while (builder->next_free[stretch] != stretch) {
        builder->next_free[stretch] = builder->next_free[builder->next_free[stretch]];
        stretch = builder->next_free[stretch];
    }
    return stretch;
}

static void take_pieces(struct builder *builder, const struct pieces *pieces, size_t step)
{
    for (size_t i = 0; i < pieces->count; i++) {
        for (size_t at = first_free(builder, pieces->list[i].from); at < pieces->list[i].to; at = first_free(builder, at)) {
            builder->family->list[at].step = step;
            builder->next_free[at] = at + 1;
        }
    }
}

static void take_step(struct builder *builder, const struct cidr_step *step, size_t number)
{
    if (step->operation == PATTERN_ENDIF) {
        free(builder->scopes[--builder->depth].list);
        return;
    }
    struct pieces matched = matched_pieces(builder, &builder->scopes[builder->depth - 1], step);
    if (step->operation == PATTERN_IF) {
        builder->scopes[builder->depth++] = matched;
        return;
    }
    take_pieces(builder, &matched, number);
    free(matched.list);
}

static void merge_equal_neighbours(struct cidr_family *family)
{
    size_t kept = 1;
    for (size_t i = 1; i < family->count; i++)
        if (family->list[i].step != family->list[kept - 1].step)
            family->list[kept++] = family->list[i];
    family->count = kept;
    family->list = mem_realloc_array(family->list, kept, sizeof *family->list);
}

static void build_family(struct cidr_family *family, int which, const struct cidr_step *steps, size_t count)
{
    cut_family(family, which, steps, count);
    struct builder builder = {.family = family, .which = which};
    builder.next_free = mem_alloc_array(family->count + 1, sizeof *builder.next_free);
    for (size_t i = 0; i <= family->count; i++)
        builder.next_free[i] = i;
    builder.scopes = mem_alloc_array(count + 1, sizeof *builder.scopes);
    builder.scopes[0].list = mem_alloc(sizeof *builder.scopes[0].list);
    pieces_add(&builder.scopes[0], 0, family->count);
    builder.depth = 1;
    for (size_t i = 0; i < count; i++)
        take_step(&builder, &steps[i], i);
    while (builder.depth > 0)
        free(builder.scopes[--builder.depth].list);
    free(builder.scopes);
    free(builder.next_free);
    merge_equal_neighbours(family);
}

struct cidr_index *cidr_index_new(const struct cidr_step *steps, size_t count)
{
    struct cidr_index *index = mem_alloc(sizeof *index);
    build_family(&index->ipv4, AF_INET, steps, count);
    build_family(&index->ipv6, AF_INET6, steps, count);
    return index;
}

void cidr_index_free(struct cidr_index *index)
{
    free(index->ipv4.list);
    free(index->ipv6.list);
    free(index);
}

/* SPDX-License-Identifier: ISC */
/*
 * built_table: walks through a table that postmap built, as bytes in memory: LMDB or CDB. Pure. The libraries of both formats
 * open or map a file by themselves, which keys may not, and a mapped file that somebody shortens ends the process; LMDB's
 * trusts what it reads besides. Nothing here is believed: every position is checked, and a walk has an end.
 */
#include <limits.h>

#include "keys/keys.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "LMDB files are read in the byte order of little-endian machines");

static uint64_t number_at(struct slice bytes, size_t at, unsigned size)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number |= (uint64_t)(unsigned char)bytes.data[at + i] << (8 * i);
    return number;
}

static struct slice without_nul(struct slice text)
{
    if (text.len > 0 && text.data[text.len - 1] == '\0')
        text.len--;
    return text;
}

/* --- CDB: 256 pairs of numbers, records one after another, hash tables ------------------------------------- */

enum { CDB_HEADER = 2048 };

static bool walk_cdb(struct slice file, built_table_visitor *visit, void *context)
{
    uint64_t end = file.len, at = CDB_HEADER;
    for (size_t i = 0; i < CDB_HEADER; i += 8)
        if (number_at(file, i, 4) < end)
            end = number_at(file, i, 4); /* the first hash table begins where the last record ends */
    if (end < CDB_HEADER)
        return false;
    while (at < end) {
        if (end - at < 8)
            return false;
        uint64_t key_len = number_at(file, at, 4), value_len = number_at(file, at + 4, 4);
        at += 8;
        if (key_len > end - at || value_len > end - at - key_len)
            return false;
        visit(context, without_nul(slice_range(file.data + at, key_len)),
              without_nul(slice_range(file.data + at + key_len, value_len)));
        at += key_len + value_len;
    }
    return true;
}

/* --- LMDB: pages of a B+ tree, of a 64-bit machine ------------------------------------------------------------- */

enum {
    PAGE_HEADER = 16, /* number 8, padding 2, flags 2, lower 2, upper 2 (overflow: pages 4) */
    IS_BRANCH = 1, IS_LEAF = 2, IS_OVERFLOW = 4,
    META_SIZE = 136, /* magic 4, version 4, address 8, size 8, two trees of 48, last page 8, transaction 8 */
    META_MAIN = 72, META_ROOT = META_MAIN + 40, META_PAGE_SIZE = 24, META_LAST_PAGE = 120, META_TRANSACTION = 128,
    NODE_HEADER = 8, /* low 2, high 2, flags 2, key 2 */
    NODE_BIG = 1, NODE_OTHER = 6, /* values on pages of their own; trees within the tree */
    DEEPEST = 32,
};
#define LMDB_MAGIC 0xBEEFC0DEu
#define LMDB_VERSION 1u
#define NO_PAGE UINT64_MAX

struct lmdb_walk {
    struct slice file;
    size_t page_size;
    uint64_t budget; /* pages still to visit: a damaged tree may have loops */
    built_table_visitor *visit;
    void *context;
};

static bool find_page(struct lmdb_walk *walk, uint64_t number, struct slice *page)
{
    uint64_t count = walk->file.len / walk->page_size;
    if (number >= count || walk->budget == 0)
        return false;
    walk->budget--;
    *page = slice_range(walk->file.data + number * walk->page_size, walk->page_size);
    return true;
}

static bool take_leaf_node(struct lmdb_walk *walk, struct slice node, unsigned flags, size_t key_len)
{
    struct slice key = slice_range(node.data + NODE_HEADER, key_len), rest = slice_skip(node, NODE_HEADER + key_len), page;
    uint64_t len = number_at(node, 0, 4);
    if ((flags & NODE_OTHER) != 0)
        return false;
    if ((flags & NODE_BIG) != 0) {
        if (rest.len < 8 || !find_page(walk, number_at(rest, 0, 8), &page) || (number_at(page, 10, 2) & IS_OVERFLOW) == 0)
            return false;
        rest = slice_range(page.data + PAGE_HEADER, (size_t)(walk->file.data + walk->file.len - page.data) - PAGE_HEADER);
    }
    if (len > rest.len)
        return false;
    walk->visit(walk->context, without_nul(key), without_nul(slice_range(rest.data, len)));
    return true;
}

static bool walk_page(struct lmdb_walk *walk, uint64_t number, unsigned depth)
{
    struct slice page;
    if (depth > DEEPEST || !find_page(walk, number, &page))
        return false;
    uint64_t kind = number_at(page, 10, 2), lower = number_at(page, 12, 2);
    if ((kind & (IS_BRANCH | IS_LEAF)) == 0 || lower < PAGE_HEADER || lower > page.len)
        return false;
    for (size_t at = PAGE_HEADER; at + 2 <= lower; at += 2) {
        size_t start = number_at(page, at, 2);
        if (start < lower || page.len - NODE_HEADER < start)
            return false;
        struct slice node = slice_skip(page, start);
        unsigned flags = (unsigned)number_at(node, 4, 2);
        size_t key_len = number_at(node, 6, 2);
        if (key_len > node.len - NODE_HEADER)
            return false;
        if ((kind & IS_LEAF) != 0 ? !take_leaf_node(walk, node, flags, key_len) : !walk_page(walk, number_at(node, 0, 6), depth + 1))
            return false;
    }
    return true;
}

/* Of the two at the beginning of the file, the one written last; the other is of the transaction before. */
static bool find_meta(struct slice file, struct slice *meta, size_t *page_size)
{
    *meta = slice_range(NULL, 0);
    if (file.len < PAGE_HEADER + META_SIZE)
        return false;
    *page_size = number_at(file, PAGE_HEADER + META_PAGE_SIZE, 4);
    if (*page_size < 256 || *page_size > 65536 || (*page_size & (*page_size - 1)) != 0)
        return false;
    if (file.len < 2 * *page_size)
        return false;
    for (size_t i = 0; i < 2; i++) {
        struct slice one = slice_range(file.data + i * *page_size + PAGE_HEADER, META_SIZE);
        if (number_at(one, 0, 4) == LMDB_MAGIC && number_at(one, 4, 4) == LMDB_VERSION &&
            (meta->data == NULL || number_at(one, META_TRANSACTION, 8) > number_at(*meta, META_TRANSACTION, 8)))
            *meta = one;
    }
    return meta->data != NULL && number_at(*meta, META_LAST_PAGE, 8) < file.len / *page_size; /* all of it is there */
}

static bool is_lmdb(struct slice file)
{
    return file.len >= PAGE_HEADER + 4 && number_at(file, PAGE_HEADER, 4) == LMDB_MAGIC;
}

static bool walk_lmdb(struct slice file, built_table_visitor *visit, void *context)
{
    struct lmdb_walk walk = {.file = file, .visit = visit, .context = context};
    struct slice meta;
    if (!find_meta(file, &meta, &walk.page_size))
        return false;
    walk.budget = file.len / walk.page_size;
    uint64_t root = number_at(meta, META_ROOT, 8);
    return root == NO_PAGE || walk_page(&walk, root, 0);
}

bool built_table_walk(struct slice file, built_table_visitor *visit, void *context)
{
    if (is_lmdb(file))
        return walk_lmdb(file, visit, context);
    return file.len >= CDB_HEADER && walk_cdb(file, visit, context);
}

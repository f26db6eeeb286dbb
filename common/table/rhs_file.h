/* SPDX-License-Identifier: ISC */
/* Values that stand for files (postmap -F): the files' content, as base64 in the table. */
#ifndef POSTHORN_TABLE_RHS_FILE_H
#define POSTHORN_TABLE_RHS_FILE_H

#include "common/table/text_source.h"

/* A transform for text_source: file names become the base64 of their joined content. */
bool rhs_file_encode(struct text_source *source, struct text_entry *entry);
/* Appends the decoded value; false when it is no base64. */
bool rhs_file_decode(struct slice value, struct str *out) MUST_CHECK;

#endif

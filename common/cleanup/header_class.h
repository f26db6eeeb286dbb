/* SPDX-License-Identifier: ISC */
/* What is known of a message header by its name: whose addresses it holds, and whether MIME defines it. Pure. */
#ifndef POSTHORN_CLEANUP_HEADER_CLASS_H
#define POSTHORN_CLEANUP_HEADER_CLASS_H

#include <stdbool.h>

#include "common/base/str.h"

enum header_class {
    HEADER_SENDER = 1,    /* addresses of who sent it: From, Reply-To, ... */
    HEADER_RECIPIENT = 2, /* addresses of who gets it: To, Cc, ... */
    HEADER_MIME = 4,      /* judged by mime_header_checks wherever it stands */
    HEADER_RECEIVED = 8,
    HEADER_MESSAGE_ID = 16,
    HEADER_RESENT_MESSAGE_ID = 32,
    HEADER_CONTENT_TYPE = 64,
    HEADER_ENCODING = 128, /* Content-Transfer-Encoding */
};

/* A mask of enum header_class; 0 for a name nobody knows. */
unsigned header_class_find(struct slice name);
/* The length of the name that "Name:" or "Name :" begins with; 0: the line is no header. */
size_t header_name_length(struct slice line);

#endif

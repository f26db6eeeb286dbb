/* SPDX-License-Identifier: ISC */
/* What a socketmap server says, and what a tcp_table(5) server says. Pure. */
#ifndef POSTHORN_TABLE_SOCKETMAP_H
#define POSTHORN_TABLE_SOCKETMAP_H

#include "common/base/str.h"

enum netstring_status { NETSTRING_WHOLE, NETSTRING_MORE, NETSTRING_MALFORMED, NETSTRING_TOO_LONG };

/* "5:hello,": *data is what is inside, *used how long the whole is. */
enum netstring_status netstring_parse(struct slice text, size_t max, struct slice *data, size_t *used) MUST_CHECK;

enum server_reply { REPLY_FOUND, REPLY_NOT_FOUND, REPLY_TEMPORARY, REPLY_TIMEOUT, REPLY_PERMANENT, REPLY_MALFORMED };

/* "OK data", "NOTFOUND ", "TEMP reason": *rest is the data or the reason. */
enum server_reply socketmap_reply_parse(struct slice reply, struct slice *rest);

/* "200 data", with %XX decoded onto *value; "400 reason" and "500 reason": *value is the reason. */
enum server_reply tcp_reply_parse(struct slice line, struct str *value);
/* A key as a tcp_table(5) server wants it: %XX for blanks, control and other unprintable characters. */
void tcp_quote(struct slice key, struct str *out);

#endif

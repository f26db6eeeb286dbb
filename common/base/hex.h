/* SPDX-License-Identifier: ISC */
/* Hexadecimal, which control lines, xtext and tcp tables write bytes in. Pure. */
#ifndef POSTHORN_BASE_HEX_H
#define POSTHORN_BASE_HEX_H

#include <stdbool.h>

#include "common/base/str.h"

/* 0 to 15, in either case; -1: no digit. */
int hex_value(char c);
/* The byte that the first two digits of the text say, or -1. */
int hex_byte(struct slice text);
/* Two lower-case digits a byte. */
void str_append_hex(struct str *out, struct slice bytes);
/* False: an odd number of digits, or something that is none; then out holds a part. */
bool str_decode_hex(struct str *out, struct slice digits) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * The record with which a role has an SPF check (RFC 7208) made by the resolver, the one process that reads what
 * strangers publish: one round trip for the HELO and the MAIL FROM identity together.
 */
#ifndef POSTHORN_SPF_PROTOCOL_H
#define POSTHORN_SPF_PROTOCOL_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

#define SPF_MAX_TEXT 512       /* bytes of each text of a question; nobody publishes records for longer names */
#define SPF_MAX_QUESTION 2560  /* bytes of a request */
#define SPF_MAX_EXPLANATION 256

enum spf_result {
    SPF_UNCHECKED = 0,
    SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL,
    SPF_TEMPERROR, SPF_PERMERROR, SPF_RESULTS
};
/* "pass"; as the headers write it. */
const char *spf_result_name(uint8_t result);

enum spf_identities { SPF_HELO = 1, SPF_MAIL_FROM = 2 };

/* SPF_CHECK: request {struct spf_question} -> {struct spf_answer}. DNS_SPF of dns_protocol.h. */
struct spf_question {
    const char *address; /* of the client */
    const char *helo;    /* "" when it said none */
    const char *sender;  /* internal form; "" for the null sender */
    const char *receiver; /* this host's name, for %{r} */
    uint8_t identities;  /* mask of enum spf_identities */
};

struct spf_verdict {
    uint8_t result;    /* enum spf_result */
    char *domain;      /* whose record it was */
    char *problem;     /* why it is an error; "" otherwise */
    char *explanation; /* of a fail: the domain's own words, printable, bounded; "" when it has none */
};

/* When HELO fails, MAIL FROM is not looked at any more. A null sender's MAIL FROM is "postmaster@" the HELO name. */
struct spf_answer {
    struct spf_verdict helo, mail_from;
};

void spf_question_encode(const struct spf_question *question, struct str *out);
bool spf_question_decode(struct slice body, struct arena *arena, struct spf_question *question) MUST_CHECK;
void spf_answer_encode(const struct spf_answer *answer, struct str *out);
bool spf_answer_decode(struct slice body, struct arena *arena, struct spf_answer *answer) MUST_CHECK;

#endif

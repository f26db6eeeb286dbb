/* SPDX-License-Identifier: ISC */
/* expiry: says in the log, once a day, which certificates in use end within two weeks, or have ended. Called by role.c. */
#include <openssl/asn1.h>
#include <stdlib.h>
#include <time.h>
#include <uthash.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "keys/keys.h"

#define SOON_DAYS 14
#define LOOK_EVERY_S 3600
#define SAY_EVERY_S 86400

/* A certificate file that was spoken of. */
struct said {
    char *key; /* the file and the day of the end */
    int64_t at; /* clock_ms() */
    UT_hash_handle hh;
};

static struct said *all_said;

static bool may_say(const char *key)
{
    struct said *said;
    HASH_FIND_STR(all_said, key, said);
    if (said != NULL && clock_ms() - said->at < (int64_t)SAY_EVERY_S * 1000)
        return false;
    if (said == NULL) {
        said = mem_alloc(sizeof *said);
        said->key = mem_strdup(key);
        HASH_ADD_KEYPTR(hh, all_said, said->key, strlen(said->key), said);
    }
    said->at = clock_ms();
    return true;
}

static void look_at(const char *file, const X509 *certificate)
{
    const ASN1_TIME *until = X509_get0_notAfter(certificate);
    struct tm end;
    int days = 0, seconds = 0;
    if (ASN1_TIME_to_tm(until, &end) != 1 || ASN1_TIME_diff(&days, &seconds, NULL, until) != 1 || days >= SOON_DAYS)
        return;
    char *day = mem_printf("%s on %04d-%02d-%02d", file, end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
    if (may_say(day)) {
        if (days < 0 || seconds < 0)
            log_warning("certificate expired: %s", day);
        else
            log_warning("certificate expires in %d day%s: %s", days, days == 1 ? "" : "s", day);
    }
    free(day);
}

void expiry_look(void)
{
    store_walk(look_at);
}

void expiry_fiber(void *arg UNUSED)
{
    do {
        expiry_look();
        store_forget_retired();
    } while (fiber_sleep_until(deadline_in_s(LOOK_EVERY_S)) == WAIT_OK);
}

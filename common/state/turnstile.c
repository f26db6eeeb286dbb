/* SPDX-License-Identifier: ISC */
/*
 * turnstile: when the next attempt may begin (turnstile.h). Called by the state role for TURN and SETTLE, and by its clients while
 * that role is down. Entries that cannot be read count as none.
 */
#include "common/state/turnstile.h"

#include "common/state/counter.h"

#define VERSION 1
#define KNOWN_MS (30LL * 86400 * 1000)   /* so long a source that reached a subject is remembered */
#define REFRESH_MS (86400LL * 1000)      /* and so seldom that is written again */
#define ABANDONED_MS (180 * 1000)        /* longer than an attempt takes: who did not settle until then is gone */

/* One line: of a source, of a subject, or of the two together. */
struct line {
    const char *store;
    char key[STATE_KEY_LIMIT + 1];
    uint32_t failures; /* in the window */
    int64_t next_ms;   /* no attempt before */
    uint32_t pending;  /* attempts that began and have not been settled */
    int64_t begun_ms;  /* the last of them */
    int64_t known_ms;  /* when the pair succeeded; 0: never */
    struct slice counter;
    char counter_bytes[COUNTER_VALUE_LIMIT];
};

/* --- entries ----------------------------------------------------------------------------------------- */

static void make_key(struct line *line, const char *store, char kind, const char *source, const char *subject)
{
    struct str key = STR_EMPTY;
    str_printf(&key, "%c:%s%s%s", kind, source, *source != '\0' && *subject != '\0' ? " " : "", subject);
    line->store = store;
    memcpy(line->key, str_text(&key), key.len + 1); /* turn_question_is_valid() saw to its length */
    str_free(&key);
}

static void decode(struct line *line, struct slice value)
{
    struct ipc_reader reader = ipc_reader_of(value);
    if (ipc_get_u8(&reader) != VERSION)
        return;
    int64_t next_ms = ipc_get_i64(&reader);
    uint32_t pending = ipc_get_u32(&reader);
    int64_t begun_ms = ipc_get_i64(&reader), known_ms = ipc_get_i64(&reader);
    struct slice counter = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader) || counter.len > sizeof line->counter_bytes || next_ms < 0 || begun_ms < 0 || known_ms < 0)
        return;
    line->next_ms = next_ms;
    line->pending = pending;
    line->begun_ms = begun_ms;
    line->known_ms = known_ms;
    memcpy(line->counter_bytes, counter.data, counter.len);
    line->counter = slice_range(line->counter_bytes, counter.len);
}

static void read_line(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms,
                      struct line *line)
{
    struct slice value;
    struct state_window window = {.seconds = question->window_s};
    struct str none = STR_EMPTY;
    int64_t never;
    if (!memory->get(line->store, line->key, &value))
        return;
    decode(line, value);
    (void)counter_charge(line->counter, now_ms, 0, &window, 1, &none, &never);
    line->failures = window.count;
    if (now_ms - line->begun_ms > ABANDONED_MS || line->begun_ms > now_ms)
        line->pending = 0;
    if (line->next_ms > now_ms + 2LL * question->longest_ms) /* the clock was set back */
        line->next_ms = now_ms;
    if (line->known_ms > now_ms)
        line->known_ms = now_ms;
}

static void write_line(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms,
                       const struct line *line)
{
    struct str value = STR_EMPTY;
    int64_t expires = now_ms + (int64_t)question->window_s * 2000 + ABANDONED_MS;
    if (line->known_ms + KNOWN_MS > expires)
        expires = line->known_ms + KNOWN_MS;
    ipc_put_u8(&value, VERSION);
    ipc_put_i64(&value, line->next_ms);
    ipc_put_u32(&value, line->pending);
    ipc_put_i64(&value, line->begun_ms);
    ipc_put_i64(&value, line->known_ms);
    ipc_put_slice(&value, line->counter);
    memory->put(line->store, line->key, str_slice(&value), expires);
    str_free(&value);
}

/* --- the schedule -------------------------------------------------------------------------------------- */

uint32_t turnstile_distance(uint32_t failures, uint32_t first_ms, uint32_t longest_ms)
{
    uint64_t distance = first_ms;
    if (failures < TURNSTILE_FREE || first_ms == 0)
        return 0;
    for (uint32_t i = TURNSTILE_FREE; i < failures && distance < longest_ms; i++)
        distance *= 2;
    return distance < longest_ms ? (uint32_t)distance : longest_ms;
}

/* Between this attempt and the next. What is under way is taken for failed where there is reason to. */
static uint32_t distance(const struct line *line, const struct turn_question *question)
{
    uint32_t allowed = line->failures >= TURNSTILE_FREE ? 0 : TURNSTILE_PARALLEL;
    uint64_t suspected = (uint64_t)line->failures + (line->pending > allowed ? line->pending - allowed : 0);
    return turnstile_distance(suspected > UINT32_MAX ? UINT32_MAX : (uint32_t)suspected, question->first_ms,
                              question->longest_ms);
}

/* Until this line lets the next one through. */
static int64_t wait_of(const struct line *line, const struct turn_question *question, int64_t now_ms)
{
    return distance(line, question) > 0 && line->next_ms > now_ms ? line->next_ms - now_ms : 0;
}

static void begin(struct line *line, const struct turn_question *question, int64_t at_ms, int64_t now_ms, bool in_line)
{
    uint32_t gap = distance(line, question);
    if (in_line && gap > 0)
        line->next_ms = at_ms + gap;
    line->pending += line->pending < UINT32_MAX ? 1 : 0;
    line->begun_ms = now_ms;
}

/* By a way that it has gone before. */
static struct turn take_known(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms,
                              struct line *pair)
{
    struct turn turn = {.is_known = true};
    if (pair->failures < TURNSTILE_FREE)
        return turn; /* nothing to remember */
    int64_t wait = wait_of(pair, question, now_ms);
    if (wait > question->longest_ms)
        return (struct turn){.refused_by = TURN_SOURCE, .is_known = true};
    begin(pair, question, now_ms + wait, now_ms, true);
    write_line(memory, question, now_ms, pair);
    turn.wait_ms = (uint32_t)wait;
    return turn;
}

struct turn turnstile_take(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms)
{
    struct line source = {0}, subject = {0}, pair = {0};
    bool has_subject = *question->subject != '\0';
    int64_t wait, subject_wait = 0;
    if (has_subject) {
        make_key(&pair, question->store, 'p', question->source, question->subject);
        make_key(&subject, question->store, 't', "", question->subject);
        read_line(memory, question, now_ms, &pair);
        if (pair.known_ms != 0)
            return take_known(memory, question, now_ms, &pair);
        read_line(memory, question, now_ms, &subject);
    }
    make_key(&source, question->store, 's', question->source, "");
    read_line(memory, question, now_ms, &source);
    bool is_suspect = source.failures >= TURNSTILE_FREE;
    wait = wait_of(&source, question, now_ms);
    if (has_subject) /* a newcomer waits, but not behind those who guess */
        subject_wait = is_suspect ? wait_of(&subject, question, now_ms) : distance(&subject, question);
    if (wait > question->longest_ms)
        return (struct turn){.refused_by = TURN_SOURCE};
    if (subject_wait > question->longest_ms)
        return (struct turn){.refused_by = TURN_SUBJECT};
    wait = subject_wait > wait ? subject_wait : wait;
    begin(&source, question, now_ms + wait, now_ms, true);
    write_line(memory, question, now_ms, &source);
    if (has_subject) {
        begin(&subject, question, now_ms + wait, now_ms, is_suspect);
        write_line(memory, question, now_ms, &subject);
    }
    return (struct turn){.wait_ms = (uint32_t)wait};
}

/* --- what became of it ------------------------------------------------------------------------------------- */

static void settle_line(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms,
                        struct line *line)
{
    struct state_window window = {.seconds = question->window_s};
    struct str counter = STR_EMPTY;
    int64_t expires;
    line->pending -= line->pending > 0 ? 1 : 0;
    if (question->outcome == TURN_FAILED &&
        counter_charge(line->counter, now_ms, 1, &window, 1, &counter, &expires) == 0) {
        line->counter = str_slice(&counter);
        line->failures = window.count;
        int64_t next = now_ms + turnstile_distance(line->failures, question->first_ms, question->longest_ms);
        line->next_ms = next > line->next_ms ? next : line->next_ms;
    }
    write_line(memory, question, now_ms, line);
    str_free(&counter);
}

static void settle_pair(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms,
                        struct line *pair)
{
    if (question->outcome != TURN_SUCCEEDED) {
        if (question->outcome == TURN_FAILED || pair->pending > 0)
            settle_line(memory, question, now_ms, pair);
        return;
    }
    if (now_ms - pair->known_ms < REFRESH_MS && pair->next_ms <= now_ms && pair->pending == 0)
        return;
    pair->known_ms = now_ms;
    pair->next_ms = 0; /* whoever is at home there need not wait for the next one */
    settle_line(memory, question, now_ms, pair);
}

void turnstile_settle(const struct turnstile_memory *memory, const struct turn_question *question, int64_t now_ms)
{
    struct line source = {0}, subject = {0}, pair = {0};
    bool has_subject = *question->subject != '\0';
    if (has_subject && (question->is_known || question->outcome == TURN_SUCCEEDED)) {
        make_key(&pair, question->store, 'p', question->source, question->subject);
        read_line(memory, question, now_ms, &pair);
        settle_pair(memory, question, now_ms, &pair);
        if (question->is_known)
            return;
    }
    /* A success makes nothing good: else a guesser's own account would pay for the guesses. */
    make_key(&source, question->store, 's', question->source, "");
    read_line(memory, question, now_ms, &source);
    settle_line(memory, question, now_ms, &source);
    if (!has_subject)
        return;
    make_key(&subject, question->store, 't', "", question->subject);
    read_line(memory, question, now_ms, &subject);
    settle_line(memory, question, now_ms, &subject);
}

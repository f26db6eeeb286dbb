/* SPDX-License-Identifier: ISC */
/* keys_protocol: encodes and decodes the records of keys, and knows what a TLS handshake has signed. Pure. */
#include "common/tls/keys_protocol.h"

#define LEAST_CHAIN 4       /* bytes of an encoded chain */
#define LEAST_CERTIFICATE 4

void keys_sign_encode(const struct keys_sign *sign, struct str *out)
{
    ipc_put_slice(out, slice_range((const char *)sign->id, KEYS_ID_SIZE));
    ipc_put_u8(out, sign->padding);
    ipc_put_text(out, sign->digest);
    ipc_put_slice(out, sign->message);
}

bool keys_sign_decode(struct slice body, struct arena *arena, struct keys_sign *sign)
{
    struct ipc_reader reader = ipc_reader_of(body);
    struct slice id = ipc_get_slice(&reader);
    sign->id = (const unsigned char *)id.data;
    sign->padding = ipc_get_u8(&reader);
    sign->digest = ipc_get_text(&reader, arena);
    sign->message = ipc_get_slice(&reader);
    return ipc_reader_finish(&reader) && id.len == KEYS_ID_SIZE && sign->padding <= KEYS_PADDING_PSS;
}

void keys_identity_encode(const struct keys_identity *identity, struct str *out)
{
    ipc_put_bool(out, identity->found);
    ipc_put_u32(out, (uint32_t)identity->count);
    for (size_t i = 0; i < identity->count; i++) {
        ipc_put_u32(out, (uint32_t)identity->chains[i].count);
        for (size_t j = 0; j < identity->chains[i].count; j++)
            ipc_put_slice(out, identity->chains[i].certificates[j]);
    }
}

bool keys_identity_decode(struct slice body, struct arena *arena, struct keys_identity *identity)
{
    struct ipc_reader reader = ipc_reader_of(body);
    identity->found = ipc_get_bool(&reader);
    identity->count = ipc_get_count(&reader, LEAST_CHAIN);
    identity->chains = arena_alloc_array(arena, identity->count + 1, sizeof *identity->chains);
    for (size_t i = 0; i < identity->count; i++) {
        struct keys_chain *chain = &identity->chains[i];
        chain->count = ipc_get_count(&reader, LEAST_CERTIFICATE);
        chain->certificates = arena_alloc_array(arena, chain->count + 1, sizeof *chain->certificates);
        for (size_t j = 0; j < chain->count; j++)
            chain->certificates[j] = ipc_get_slice(&reader);
    }
    return ipc_reader_finish(&reader);
}

/* --- what is signed --------------------------------------------------------------------------------- */

static bool is_certificate_verify(struct slice message)
{
    static const char label[] = "TLS 1.3, server CertificateVerify"; /* with its NUL, as on the wire */
    if (message.len != 64 + sizeof label + 32 && message.len != 64 + sizeof label + 48)
        return false;
    for (size_t i = 0; i < 64; i++)
        if (message.data[i] != ' ')
            return false;
    return memcmp(message.data + 64, label, sizeof label) == 0;
}

static unsigned get_u16(struct slice text, size_t at)
{
    return (unsigned)(unsigned char)text.data[at] << 8 | (unsigned char)text.data[at + 1];
}

/* Three numbers, each with its length: the prime, then the base and the public value, which are below it. */
static bool is_diffie_hellman(struct slice rest)
{
    enum { LEAST_PRIME = 64, LARGEST_PRIME = 2048 };
    size_t prime = 0;
    for (int i = 0; i < 3; i++) {
        size_t len = rest.len >= 2 ? get_u16(rest, 0) : 0;
        if (len == 0 || rest.len < 2 + len || (i > 0 && len > prime))
            return false;
        prime = i == 0 ? len : prime;
        rest = slice_skip(rest, 2 + len);
    }
    return rest.len == 0 && prime >= LEAST_PRIME && prime <= LARGEST_PRIME;
}

/*
 * A certificate request, a certificate, or the attributes of signed mail: one SEQUENCE or SET in DER, from end to end. The client's
 * random comes first and is anybody's choice, and numbers may hide in names, so such a thing could be made to look like a
 * handshake. One handshake in millions begins like this by chance, and fails. Below 128 bytes none of them has room.
 */
static bool is_der(struct slice message)
{
    enum { SEQUENCE = 0x30, SET = 0x31, ONE_BYTE = 0x81, TWO_BYTES = 0x82 };
    unsigned char tag = (unsigned char)message.data[0], form = (unsigned char)message.data[1];
    if ((tag != SEQUENCE && tag != SET) || message.len < 128)
        return false;
    return (form == ONE_BYTE && message.len == 3u + (unsigned char)message.data[2]) ||
           (form == TWO_BYTES && message.len == 4u + get_u16(message, 2));
}

/* Behind the two randoms: a named curve and a point, or the three numbers of Diffie-Hellman, and no more. */
static bool is_key_exchange(struct slice message)
{
    enum { RANDOMS = 64, NAMED_CURVE = 3 };
    if (message.len < RANDOMS + 5 || is_der(message))
        return false;
    struct slice rest = slice_skip(message, RANDOMS);
    if (rest.data[0] == NAMED_CURVE && rest.len == 4u + (unsigned char)rest.data[3])
        return true;
    return is_diffie_hellman(rest);
}

bool keys_message_is_handshake(struct slice message)
{
    return is_certificate_verify(message) || is_key_exchange(message);
}

/* SPDX-License-Identifier: ISC */
/* sasl_protocol: the records between a service and auth. Pure. */
#include "common/sasl/sasl_protocol.h"

void sasl_client_encode(const struct sasl_client *client, struct str *out)
{
    ipc_put_u8(out, client->type);
    ipc_put_text(out, client->path);
    ipc_put_text(out, client->config_path);
    ipc_put_text(out, client->service);
    ipc_put_text(out, client->realm);
    ipc_put_text(out, client->host_name);
    ipc_put_u32(out, client->properties);
    ipc_put_text(out, client->client_address);
    ipc_put_text(out, client->client_port);
    ipc_put_text(out, client->server_address);
    ipc_put_text(out, client->server_port);
    ipc_put_bool(out, client->is_encrypted);
    ipc_put_u32(out, client->cipher_bits);
    ipc_put_text(out, client->certificate_name);
    ipc_put_text(out, client->binding_type);
    ipc_put_slice(out, client->binding);
}

void sasl_client_get(struct ipc_reader *reader, struct arena *arena, struct sasl_client *client)
{
    client->type = ipc_get_u8(reader);
    client->path = ipc_get_text(reader, arena);
    client->config_path = ipc_get_text(reader, arena);
    client->service = ipc_get_text(reader, arena);
    client->realm = ipc_get_text(reader, arena);
    client->host_name = ipc_get_text(reader, arena);
    client->properties = ipc_get_u32(reader);
    client->client_address = ipc_get_text(reader, arena);
    client->client_port = ipc_get_text(reader, arena);
    client->server_address = ipc_get_text(reader, arena);
    client->server_port = ipc_get_text(reader, arena);
    client->is_encrypted = ipc_get_bool(reader);
    client->cipher_bits = ipc_get_u32(reader);
    client->certificate_name = ipc_get_text(reader, arena);
    client->binding_type = ipc_get_text(reader, arena);
    struct slice binding = ipc_get_slice(reader);
    client->binding = slice_range(arena_slice(arena, binding), binding.len);
    if (client->type > SASL_DOVECOT)
        reader->failed = true;
}

void sasl_answer_encode(const struct sasl_answer *answer, struct str *out)
{
    ipc_put_u8(out, answer->status);
    ipc_put_u64(out, answer->exchange);
    ipc_put_text(out, answer->text);
    ipc_put_text(out, answer->login);
}

bool sasl_answer_decode(struct slice body, struct arena *arena, struct sasl_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    answer->status = ipc_get_u8(&reader);
    answer->exchange = ipc_get_u64(&reader);
    answer->text = ipc_get_text(&reader, arena);
    answer->login = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader) && answer->status <= SASL_UNAVAILABLE;
}

-- SPDX-License-Identifier: ISC
-- The tables behind etc/pgsql/*.cf: createdb mail && psql mail -f schema.postgresql.sql
-- Addresses and domains are kept in lower case: the server asks in lower case.

CREATE TABLE domains (
    name   text PRIMARY KEY CHECK (name = lower(name)),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE mailboxes (
    address text PRIMARY KEY CHECK (address = lower(address)),
    domain  text NOT NULL REFERENCES domains (name),
    maildir text NOT NULL,          -- below virtual_mailbox_base, "example.org/anna/"; unused with LMTP
    active  boolean NOT NULL DEFAULT true
);

-- One row a destination; several rows for one address are several recipients.
CREATE TABLE aliases (
    address     text NOT NULL CHECK (address = lower(address)),  -- "info@example.org", or "@example.org" for all
    destination text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    PRIMARY KEY (address, destination)
);

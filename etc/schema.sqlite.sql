-- SPDX-License-Identifier: ISC
-- The tables behind etc/sqlite/*.cf: sqlite3 /var/lib/posthorn/mail.sqlite < schema.sqlite.sql
-- Addresses and domains are kept in lower case: the server asks in lower case.

CREATE TABLE domains (
    name   TEXT PRIMARY KEY CHECK (name = lower(name)),
    active INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

CREATE TABLE mailboxes (
    address TEXT PRIMARY KEY CHECK (address = lower(address)),
    domain  TEXT NOT NULL REFERENCES domains (name),
    maildir TEXT NOT NULL,          -- below virtual_mailbox_base, "example.org/anna/"; unused with LMTP
    active  INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

-- One row a destination; several rows for one address are several recipients.
CREATE TABLE aliases (
    address     TEXT NOT NULL CHECK (address = lower(address)),  -- "info@example.org", or "@example.org" for all
    destination TEXT NOT NULL,
    active      INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (address, destination)
) WITHOUT ROWID;

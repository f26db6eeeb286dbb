-- SPDX-License-Identifier: ISC
-- Who lives in the demo.
INSERT INTO domains (name) VALUES ('example.test');
INSERT INTO mailboxes (address, domain, maildir) VALUES
    ('anna@example.test', 'example.test', 'example.test/anna/'),
    ('ben@example.test', 'example.test', 'example.test/ben/');
INSERT INTO aliases (address, destination) VALUES
    ('info@example.test', 'anna@example.test'),
    ('all@example.test', 'anna@example.test'),
    ('all@example.test', 'ben@example.test');

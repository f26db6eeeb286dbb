# SPDX-License-Identifier: ISC
"""A name server for tests, in plain Python: answers from a table, and misbehaves on request.

    zone = {("mail.example.test", "A"): ["192.0.2.1"], ("late.test", "A"): Slow(2, ["192.0.2.2"])}
    DnsServer(zone, "127.0.0.1", 53).start()

Names that the table does not have are NXDOMAIN; names that it has without that type are empty answers. Values are
texts: "10 mx.example.test" for MX. Run as a program: dns_server.py ADDRESS PORT ZONE.json; prints "ready".
"""
import ipaddress
import json
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}
# A value that is a text is a fault.
FAULTS = ("servfail", "refused", "silent", "truncated", "garbage", "lying", "wrong-id", "endless")


def name_bytes(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def data_bytes(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        preference, name = value.split()
        return struct.pack("!H", int(preference)) + name_bytes(name)
    if kind == "TXT":
        text = value.encode()
        return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, len(text), 255))
    return name_bytes(value)


def record(owner, kind, value, ttl=300):
    data = data_bytes(kind, value)
    return name_bytes(owner) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


class DnsServer:
    def __init__(self, zone, address="127.0.0.1", port=0):
        self.zone = {(name.lower(), kind): value for (name, kind), value in zone.items()}
        self.names = {name for name, _ in self.zone}
        self.questions = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server((address, self.port))

    def start(self):
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()
        return self

    def stop(self):
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self.answer_udp, args=(data, peer), daemon=True).start()

    def answer_udp(self, data, peer):
        reply = self.reply(data, False)
        if reply:
            self.udp.sendto(reply, peer)

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.answer_tcp, args=(connection,), daemon=True).start()

    def answer_tcp(self, connection):
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                reply = self.reply(stream.read(struct.unpack("!H", head)[0]), True)
                if reply:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def reply(self, data, over_tcp):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
            at += data[at] + 1
        name, kind = ".".join(labels), NAMES.get(struct.unpack("!H", data[at + 1:at + 3])[0], "?")
        question = data[12:at + 5]
        self.questions.append((name.lower(), kind))
        return self.make(data[:2], question, name, kind, over_tcp)

    def make(self, number, question, name, kind, over_tcp):
        value = self.zone.get((name.lower(), kind), self.zone.get((name.lower(), "*")))
        delay = 0
        if isinstance(value, list) and value and isinstance(value[0], (int, float)):
            delay, value = value[0], value[1:]
        time.sleep(delay)
        if value == "silent":
            return None
        if value in ("servfail", "refused"):
            return number + struct.pack("!HHHHH", 0x8180 | (2 if value == "servfail" else 5), 1, 0, 0, 0) + question
        if value == "garbage":
            return number + struct.pack("!HHHHH", 0x8180, 1, 9, 0, 0) + question + b"\xc0\xff\xff\xff"
        if value == "lying":  # an answer about somebody else
            return number + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + record("other.test", "A", "192.0.2.99")
        if isinstance(value, dict):  # {"truncated": [...]}: complete only over TCP
            value = value["truncated"]
            if not over_tcp:
                return number + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + question
        records = self.records(name, kind, value)
        missing = name.lower() not in self.names and not records
        return number + struct.pack("!HHHHH", 0x8180 | (3 if missing else 0), 1, len(records), 0, 0) + question + b"".join(records)

    def records(self, name, kind, value):
        records = []
        for _ in range(20):
            if value is not None:
                return records + [record(name, kind, one) for one in value]
            alias = self.zone.get((name.lower(), "CNAME"))
            if not alias or kind == "CNAME":
                return records
            records.append(record(name, "CNAME", alias[0]))
            name = alias[0]
            value = self.zone.get((name.lower(), kind))
        return records


if __name__ == "__main__":
    with open(sys.argv[3], encoding="utf-8") as file:
        table = {tuple(key.split()): value for key, value in json.load(file).items()}
    DnsServer(table, sys.argv[1], int(sys.argv[2])).start()
    print("ready", flush=True)
    threading.Event().wait()

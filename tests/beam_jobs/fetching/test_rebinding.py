"""A DNS server that changes its answer: what is connected to is what was checked, at each attempt, hop and file."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import Fetched, FetchOptions, fetch_all

PUBLIC = "2000::1"  # may be reached as far as its number goes; nobody is there
PRIVATE = "127.0.0.1"
A, AAAA, CNAME = 1, 28, 5


def encoded_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """A name, pointers followed, and where what comes after it begins."""
    labels, end = [], None
    while data[at]:
        if data[at] >= 0xC0:
            end = end or at + 2
            at = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            continue
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), end or at + 1


class NameServer:
    """Answers over UDP with time to live 0: the n-th question for a name and type gets the n-th of its answers."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers
        self.asked: Counter[tuple[str, int]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                query, client = self._socket.recvfrom(512)
            except OSError:
                return
            name, at = read_name(query, 12)
            kind = int.from_bytes(query[at : at + 2], "big")
            turns = self._answers[name]
            found = turns[min(self.asked[name, kind], len(turns) - 1)]
            self.asked[name, kind] += 1
            records = [
                record for record in map(self._record, found) if record[:2] in (struct.pack(">H", kind), b"\0\5")
            ]
            head = query[:2] + struct.pack(">5H", 0x8180, 1, len(records), 0, 0)
            body = b"".join(b"\xc0\x0c" + record for record in records)
            self._socket.sendto(head + query[12 : at + 4] + body, client)

    def _record(self, value: str) -> bytes:
        if value.startswith("cname:"):
            kind, data = CNAME, encoded_name(value[6:])
        else:
            address = ipaddress.ip_address(value)
            kind, data = (A if address.version == 4 else AAAA), address.packed
        return struct.pack(">HHIH", kind, 1, 0, len(data)) + data

    def lookup(self, host: str) -> list[str]:
        """As a stub resolver asks: IPv6 and IPv4, aliases followed."""
        found = []
        for kind in (AAAA, A):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + encoded_name(host) + struct.pack(">2H", kind, 1)
                client.sendto(query, ("127.0.0.1", self.port))
                answer = client.recv(512)
            at = len(query)
            for _ in range(int.from_bytes(answer[6:8], "big")):
                _, at = read_name(answer, at)
                got, _, _, size = struct.unpack_from(">HHIH", answer, at)
                data = answer[at + 10 : at + 10 + size]
                if got == CNAME:
                    return self.lookup(read_name(answer, at + 10)[0])
                found.append(str(ipaddress.ip_address(data)))
                at += 10 + size
        return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def private() -> Iterator[socket.socket]:
    """A server inside, that nothing may reach."""
    with socket.create_server((PRIVATE, 0)) as listener:
        listener.settimeout(0.1)
        yield listener


def fetch(
    private: socket.socket, answers: dict[str, list[list[str]]], path: str = "/", **options: object
) -> tuple[Fetched, int]:
    """What became of http://rebind.example, and how often its IPv4 address was asked for; nobody reached `private`."""
    server = NameServer(answers)
    chosen = {
        "timeout": 5.0,
        "deadline": 20.0,
        "retries": 2,
        "backoff": 0.01,
        "robots": False,
        "read_tdm_file": False,
        **options,
    }
    keep = float(chosen.pop("keep_names", 300.0))
    url = str(chosen.pop("url", f"http://rebind.example:{private.getsockname()[1]}{path}"))
    commons = Commons(server.lookup, keep_names=keep)
    ((_, row),) = fetch_all([(0, url)], FetchOptions(**chosen), commons=commons)
    server.close()
    with pytest.raises(TimeoutError):
        private.accept()
    return row, server.asked["rebind.example", A]


def ended(row: Fetched) -> tuple[str | None, int]:
    return row.reason, row.attempts


CHANGING = {"rebind.example": [[PUBLIC], [PRIVATE]]}


def test_a_second_answer_is_not_asked_for_between_check_and_connection(private):
    row, asked = fetch(private, CHANGING)
    assert (ended(row), asked) == (("connect", 3), 1)


def test_each_answer_is_checked_where_names_are_asked_for_again(private):
    row, asked = fetch(private, CHANGING, keep_names=0)
    assert (ended(row), asked) == (("blocked_address", 2), 2)


def test_the_private_ones_of_several_answers_are_passed_over(private):
    row, _ = fetch(private, {"rebind.example": [[PRIVATE, PUBLIC, "::1"]]}, retries=0)
    assert ended(row) == ("connect", 1)


def test_an_alias_of_a_private_name_is_blocked(private):
    answers = {"rebind.example": [["cname:inside.example"]], "inside.example": [[PRIVATE]]}
    row, _ = fetch(private, answers)
    assert ended(row) == ("blocked_address", 1)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "fd00::1", "0.0.0.0"])
def test_forms_of_addresses_in_answers(private, address):
    row, _ = fetch(private, {"rebind.example": [[address]]})
    assert ended(row) == ("blocked_address", 1)


def test_robots_txt_and_the_page_are_checked_each(private):
    row, _ = fetch(private, CHANGING, keep_names=0, robots=True, retries=1)
    assert ended(row) == ("blocked_address", 2)


def test_a_redirect_to_a_name_that_changed(private, server):
    always_there = ResolveRule("*.test", "127.0.0.1", server.port)
    answers = {"rebind.example": [[PRIVATE]]}
    start = f"http://a.test/to?http://rebind.example:{private.getsockname()[1]}/"
    row, asked = fetch(private, answers, url=start, resolve=(always_there,))
    assert (ended(row), asked) == (("blocked_address", 1), 1)
    assert row.final_url.startswith("http://rebind.example:")

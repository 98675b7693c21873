"""A recaption with a key, against a server that repeats it wherever it can: no file and no word of ours has it."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from beam_jobs.cli import main
from captioners.key import KEY_VARIABLE

SECRET = "sk-0123456789abcdef"


class Echoing(BaseHTTPRequestHandler):
    """Answers in turn with a caption, the key as a caption, an error that holds it, and no JSON."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"]
        self.seen[key] += 1
        text = ("a red ring on paper", key, "", "")[self.seen[key] % 4]
        body = json.dumps({"choices": [{"message": {"content": text}}]})
        status = 200
        if not text:
            status, body = (400, f"your key is {key}") if self.seen[key] % 2 else (200, f"{{{key}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Echo", key)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def echoing() -> Iterator[int]:
    Echoing.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echoing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_file_and_no_word_of_ours_has_the_key(
    selected: Path,
    recap_recipe: Path,
    echoing: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    caplog.set_level(logging.INFO)
    waits = "timeout: 5, deadline: 20, tries: 2, first_wait: 0.01, longest_wait: 0.02"
    engine = f"--captioner=*={{engine: endpoint, model: served, urls: ['http://127.0.0.1:{echoing}/v1'], {waits}}}"
    ended = main(["run", f"--recipe={recap_recipe}", f"--work={selected}", "--stages=recaption:report", engine])
    assert ended in (0, 3)
    assert main(["counts", f"--work={selected}"]) == 0
    said = capfd.readouterr()
    assert "caption_refused" in said.out
    assert set(Echoing.seen) == {f"Bearer {SECRET}"}
    assert SECRET not in said.out + said.err + caplog.text
    files = [file for file in selected.rglob("*") if file.is_file()]
    assert any(file.suffix == ".html" for file in files)
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []

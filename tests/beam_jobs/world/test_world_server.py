import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_jobs.world.server import content_type, located, serve


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    top = tmp_path_factory.mktemp("served")
    web = top / "web"
    (web / "shapes.test" / "deep").mkdir(parents=True)
    (web / "other.test").mkdir()
    (top / "secret.txt").write_text("secret")
    (web / "shapes.test" / "index.html").write_text("<p>shapes</p>")
    (web / "shapes.test" / "deep" / "index.html").write_text("<p>deep</p>")
    (web / "shapes.test" / "my été.jpg").write_bytes(b"jpeg bytes")
    (web / "shapes.test" / "large.png").write_bytes(bytes(3_000_000))
    (web / "other.test" / "index.html").write_text("<p>other</p>")
    os.symlink(top / "secret.txt", web / "other.test" / "link.txt")
    with serve(web) as found:
        yield found


def _get(port: int, path: str, host: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "path", "body"),
    [
        ("shapes.test", "/", b"<p>shapes</p>"),
        ("shapes.test:80", "/", b"<p>shapes</p>"),
        ("SHAPES.test", "/deep/", b"<p>deep</p>"),
        ("other.test", "/index.html", b"<p>other</p>"),
        ("shapes.test", "/my%20%C3%A9t%C3%A9.jpg?w=300", b"jpeg bytes"),
    ],
)
def test_files_are_found_by_host_and_path(port: int, host: str, path: str, body: bytes) -> None:
    status, headers, found = _get(port, path, host)
    assert (status, found) == (200, body)
    assert headers["Content-Type"] == ("image/jpeg" if "jpg" in path else "text/html; charset=utf-8")


def test_a_large_file_is_whole(port: int) -> None:
    status, headers, body = _get(port, "/large.png", "shapes.test")
    assert (status, headers["Content-Type"], len(body)) == (200, "image/png", 3_000_000)


def test_a_folder_without_its_slash_redirects(port: int) -> None:
    status, headers, _ = _get(port, "/deep?a=b", "shapes.test")
    assert (status, headers["Location"]) == (301, "/deep/?a=b")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("shapes.test", "/missing.jpg"),
        ("nowhere.test", "/"),
        ("other.test", "/my%20%C3%A9t%C3%A9.jpg"),
        ("shapes.test", "/../../secret.txt"),
        ("shapes.test", "/%2e%2e/%2e%2e/secret.txt"),
        ("shapes.test", "/..%2f..%2fsecret.txt"),
        ("shapes.test", "/deep/%00"),
        ("..", "/secret.txt"),
        ("../", "/secret.txt"),
        ("", "/secret.txt"),
        ("other.test", "/link.txt"),
        ("shapes.test", "//etc/passwd"),
    ],
)
def test_nothing_else_is_served(port: int, host: str, path: str) -> None:
    status, _, body = _get(port, path, host)
    assert status == 404
    assert b"secret" not in body


def test_only_reading_is_allowed(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", headers={"Host": "shapes.test"})
    assert connection.getresponse().status == 405
    connection.close()


def test_the_port_is_free_again_afterwards(tmp_path: Path) -> None:
    with serve(tmp_path) as port:
        assert _get(port, "/", "a.test")[0] == 404
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with serve(tmp_path) as port, pytest.raises(OSError, match="in use"), serve(tmp_path, port):
        pass


def test_located_stays_below_its_host(tmp_path: Path) -> None:
    assert located(tmp_path, "a.test:8080", "/b/c%20d.png?x=/../") == tmp_path / "a.test" / "b" / "c d.png"
    assert located(tmp_path, "a.test", "/b/../c") is None
    assert located(tmp_path, "a.test", "/b\\..\\c") is None
    assert located(tmp_path, "a/../b", "/c") is None


def test_content_types() -> None:
    assert content_type("a.JPG") == "image/jpeg"
    assert content_type("a.svg") == "image/svg+xml"
    assert content_type("a") == "application/octet-stream"

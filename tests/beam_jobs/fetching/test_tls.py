"""Certificates: verified by who vouches for them, by host and by date; and servers that speak no TLS at all."""

from __future__ import annotations

import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import Fetched, FetchOptions, fetch_all


class _Secure(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *_: object) -> None:
        pass


def write_certificate(folder: Path, *, valid_for: int) -> tuple[Path, Path]:
    """One of a.test that vouches for itself, for so many days from a month ago; its file, and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    begun = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=30)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + datetime.timedelta(days=valid_for))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@contextmanager
def serving(certificate: Path, key: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Secure)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def fetch(urls: list[str], port: int, commons: Commons) -> list[Fetched]:
    rule = ResolveRule("*.test", "127.0.0.1", port)
    chosen = FetchOptions(timeout=5.0, deadline=15.0, retries=1, backoff=0.02, robots=False, resolve=(rule,))
    found = dict(fetch_all(enumerate(urls), chosen, commons=commons))
    return [found[index] for index in range(len(urls))]


def trusting(certificate: Path) -> Commons:
    return Commons(tls=ssl.create_default_context(cafile=str(certificate)))


def test_who_vouches_for_a_certificate_must_be_known(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, valid_for=60)
    with serving(certificate, key) as port:
        (row,) = fetch(["https://a.test/ok"], port, Commons())
    assert (row.reason, row.attempts) == ("tls", 1)
    assert "self-signed certificate" in (row.message or "")


def test_a_certificate_must_be_of_the_host_that_the_url_names(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, valid_for=60)
    with serving(certificate, key) as port:
        rows = fetch(["https://a.test/ok", "https://b.test/ok"], port, trusting(certificate))
    assert [(row.body, row.reason) for row in rows] == [(b"secret", None), (None, "tls")]
    assert "b.test" in (rows[1].message or "")


def test_a_certificate_must_not_have_expired(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, valid_for=29)
    with serving(certificate, key) as port:
        (row,) = fetch(["https://a.test/ok"], port, trusting(certificate))
    assert (row.body, row.reason, row.attempts) == (None, "tls", 1)
    assert "expired" in (row.message or "")


def test_a_plain_server_on_a_tls_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")).start()
        (row,) = fetch(["https://a.test/ok"], plain.getsockname()[1], Commons())
    assert row.reason == "tls"

"""Hashes of what must not be stored: what a list may be, what stands in one, and that no byte of it reaches a disk."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beam_jobs.fetching.addresses import parse_resolve
from beam_jobs.fetching.blocklist import Blocklist, check_blocklist, parse_blocklist
from beam_jobs.fetching.pixels import prepare
from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.pdq import pdq
from schemas.download import DownloadSection
from schemas.refusal import Refusal

BORDER = DownloadSection(resize="border", image_size=128, rows_per_shard=10)


def apart(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def listed(folder: Path, kind: str, *values: str) -> str:
    (folder / f"{kind}.txt").write_text("# known\n" + "\n".join(values) + "\n")
    return f"{kind}:{folder / f'{kind}.txt'}"


@pytest.fixture(scope="module")
def photographs(shared_folder: Path) -> dict[str, bytes]:
    folder = shared_folder / "near_duplicates/pdq/bridge-mods"
    return {path.stem: path.read_bytes() for path in sorted(folder.iterdir())}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, server.server_address[1]
    server.shutdown()
    server.server_close()


def test_bytes_in_a_list_are_told_by_its_kind(tmp_path: Path) -> None:
    data = b"some picture"
    sha256 = listed(tmp_path, "sha256", hashlib.sha256(data).hexdigest().upper(), "0" * 64)
    md5 = listed(tmp_path, "md5", *(hashlib.md5(b"%d" % number).hexdigest() for number in range(1000)))
    blocklist = parse_blocklist([sha256, md5])
    assert blocklist is not None
    assert not blocklist.looks_at_pixels
    told = [blocklist.of_bytes(each) for each in (data, b"17", b"1000", b"")]
    assert told == ["sha256", "md5", None, None]


def test_tables_are_lists_too_and_a_fingerprint_tells_what_they_hold(tmp_path: Path) -> None:
    digest = hashlib.md5(b"x").hexdigest()
    (tmp_path / "list.csv").write_text(f"name,md5\none,{digest}\ntwo,\n")
    pq.write_table(pa.table({"md5": [digest, None]}), tmp_path / "list.parquet")
    made = [parse_blocklist([f"md5:{tmp_path / name}"]) for name in ("list.csv", "list.parquet")]
    assert [each.of_bytes(b"x") for each in made if each] == ["md5", "md5"]
    csv = (tmp_path / "list.csv").read_bytes()
    assert made[0] is not None
    assert made[0].to_json() == {"distance": 31, "lists": [["md5", hashlib.sha256(csv).hexdigest()]]}


def test_pixels_are_told_up_to_the_distance(tmp_path: Path) -> None:
    known = parse_blocklist([listed(tmp_path, "pdq", "0" * 64, "f" * 64)])
    (tmp_path / "zeros").write_text("0" * 64)
    nearer = parse_blocklist([f"pdq:{tmp_path / 'zeros'}"], 30)
    assert known is not None
    assert nearer is not None
    bits_31, bits_32 = f"{2**31 - 1:064x}", f"{2**32 - 1:064x}"
    assert [known.of_pixels(each) for each in (bits_31, bits_32, None)] == ["pdq", None, None]
    assert nearer.of_pixels(bits_31) is None


def test_the_hash_is_that_of_the_picture_before_borders_and_crops(photographs: dict[str, bytes]) -> None:
    with Image.open(io.BytesIO(photographs["aaa-orig"])) as image:
        whole, quality = pdq(image)
    assert quality >= 50
    for resize in ("border", "center_crop", "keep_ratio", "no"):
        section = DownloadSection(resize=resize, image_size=256)
        stored, hashed = (prepare(photographs["aaa-orig"], section, hashed=asked) for asked in (False, True))
        assert hashed.pdq is not None
        assert apart(hashed.pdq, whole) <= 2
        assert (stored.pdq, stored.data) == (None, hashed.data)
    as_it_is = DownloadSection(disable_all_reencoding=True)
    hashed = prepare(photographs["aaa-orig"], as_it_is, hashed=True)
    assert hashed.pdq is not None
    assert apart(hashed.pdq, whole) <= 2


def test_no_byte_of_a_listed_image_is_stored(
    photographs: dict[str, bytes], site: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = site
    other = Image.effect_mandelbrot((300, 200), (-2, -1.5, 1, 1.5), 90).convert("RGB")
    other.save(folder / "other.png")
    names = ["aaa-orig", "blur-a-little", "high-contrast"]
    for name in names:
        (folder / f"{name}.jpg").write_bytes(photographs[name])
    with Image.open(io.BytesIO(photographs["aaa-orig"])) as image:
        perceptual = pdq(image)[0]
    by_bytes = listed(tmp_path, "sha256", hashlib.sha256((folder / "high-contrast.jpg").read_bytes()).hexdigest())
    blocklist = parse_blocklist([by_bytes, listed(tmp_path, "pdq", perceptual)])
    assert blocklist is not None
    work = RunFolder(str(tmp_path / "work"))
    urls = [f"http://known.test/{name}.jpg" for name in names] + ["http://known.test/other.png"]
    pairs = {"uid": [f"u{number}" for number in range(4)], "url": urls, "text": ["a"] * 4}
    write_table(work.planned(0), pa.table(pairs))
    rules = [parse_resolve(f"*.test=127.0.0.1:{port}")]
    options = DownloadOptions.build(BORDER, resolve=rules, blocklist=blocklist)
    tally = download_shard(DownloadTask(work.work, 0, options))
    assert tally.reasons == {"kept": 1, "blocked_by_list": 3}
    rows = read_table(work.image_table(0)).to_pylist()
    assert [row["reason"] for row in rows] == ["blocked_by_list"] * 3 + [None]
    assert [row["error_message"] for row in rows[:3]] == [
        "its pdq stands in a blocklist",
        "its pdq stands in a blocklist",
        "its sha256 stands in a blocklist",
    ]
    assert [row["sha256"] for row in rows[:3]] == [None] * 3
    with tarfile.open(work.image_tar(0)) as tar:
        assert [name.partition(".")[2] for name in tar.getnames()] == ["jpg", "json", "txt"]


@pytest.mark.parametrize(
    ("given", "content", "expected"),
    [
        ("md4:{file}", "00", "--blocklist: expected KIND:FILE, of sha256, md5, pdq; given 'md4:"),
        ("{file}", "00", "--blocklist: expected KIND:FILE, of sha256, md5, pdq; given "),
        ("md5:{file}", "# nothing\n", "lists nothing"),
        ("md5:{file}", "abc\n", "is no list of md5: it holds 'abc'; expected 32 hex digits"),
        ("md5:{file}.csv", "name\nx\n", "is no list of md5: no column 'md5'; there are name"),
        ("md5:absent", "", "absent cannot be read"),
    ],
)
def test_what_is_no_list_is_refused(given: str, content: str, expected: str, tmp_path: Path) -> None:
    for name in ("list", "list.csv"):
        (tmp_path / name).write_text(content)
    with pytest.raises(Refusal) as refusal:
        parse_blocklist([given.format(file=tmp_path / "list")])
    assert expected in str(refusal.value)


def test_a_folder_goes_on_with_the_lists_that_it_was_begun_with(tmp_path: Path) -> None:
    blocklist = parse_blocklist([listed(tmp_path, "md5", "0" * 32)])
    assert blocklist is not None
    check_blocklist(blocklist, blocklist.to_json(), "out")
    check_blocklist(None, None, "out")
    with pytest.raises(Refusal, match="give the same again"):
        check_blocklist(None, blocklist.to_json(), "out")
    with pytest.raises(Refusal, match="give the same again"):
        check_blocklist(Blocklist(blocklist.files, 20), blocklist.to_json(), "out")
    with pytest.raises(Refusal, match="were fetched without lists of hashes; use another --work"):
        check_blocklist(blocklist, None, "out")
    with pytest.raises(Refusal, match="expected 0 to 31 bits; given 32"):
        parse_blocklist([], 32)
    (tmp_path / "md5.txt").write_text("1" * 32)
    with pytest.raises(ValueError, match="has changed since the run was launched"):
        blocklist.of_bytes(b"")

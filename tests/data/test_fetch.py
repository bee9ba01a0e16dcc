"""Downloads from a local server: good, cut off, resumed, wrong, refused, no network."""

import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmce.data import originals, packed, sources
from fedmce.data.fetch import fetch
from fedmce.data.sources import Source
from fedmce.errors import DataError
from tests.data_location import DATA_DIR, needs

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; knows ranges unless told otherwise; hangs up after ``cut`` bytes of an answer."""

    files: dict[str, bytes]
    ranges = True
    chunked = False
    cut: int | None = None
    asked: list[tuple[str, str | None]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        body = self.server.files.get(self.path)
        self.close_connection = True
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(body) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent = body[start:][: self.server.cut]
            self.wfile.write(
                b"%x\r\n" % len(body[start:]) + sent + (b"\r\n0\r\n\r\n" if self.server.cut is None else b"")
            )
            return
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.files, running.asked = {"/a.bin": CONTENT}, []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source(server: Server, *paths: str, sha256: str | None = SHA256) -> list[Source]:
    urls = tuple(f"http://127.0.0.1:{server.server_port}{path}" for path in paths or ("/a.bin",))
    return [Source("a.bin", urls, sha256)]


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (folder / "heart_disease").iterdir()}


def test_a_whole_file_arrives_under_its_name_and_progress_ends_at_its_size(tmp_path: Path, server: Server) -> None:
    seen: list[tuple[str, int, int | None]] = []
    paths = fetch("heart_disease", tmp_path, lambda *step: seen.append(step), source(server))
    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert files(tmp_path) == {"a.bin": len(CONTENT)}
    assert seen[0] == ("a.bin", 0, len(CONTENT))
    assert seen[-1] == ("a.bin", len(CONTENT), len(CONTENT))
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)


def test_a_file_that_is_there_is_not_asked_for_again_but_a_changed_one_is(tmp_path: Path, server: Server) -> None:
    fetch("heart_disease", tmp_path, None, source(server))
    fetch("heart_disease", tmp_path, None, source(server))
    assert len(server.asked) == 1
    (tmp_path / "heart_disease" / "a.bin").write_bytes(b"changed")
    fetch("heart_disease", tmp_path, None, source(server))
    assert len(server.asked) == 2
    assert files(tmp_path) == {"a.bin": len(CONTENT)}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_download_never_gets_its_name_and_the_next_call_goes_on_from_there(
    tmp_path: Path, server: Server, chunked: bool
) -> None:
    server.cut, server.chunked = 100_000, chunked
    with pytest.raises(DataError, match=r"a.bin did not arrive.*cut off.*goes on where it stopped"):
        fetch("heart_disease", tmp_path, None, source(server))
    (name, size), *more = files(tmp_path).items()
    assert name == "a.bin.part"
    assert 0 < size <= 100_000
    assert not more
    server.cut = None
    fetch("heart_disease", tmp_path, None, source(server))
    assert server.asked[-1] == ("/a.bin", f"bytes={size}-")
    assert files(tmp_path) == {"a.bin": len(CONTENT)}


def test_a_server_without_ranges_starts_over(tmp_path: Path, server: Server) -> None:
    server.cut = 100_000
    with pytest.raises(DataError):
        fetch("heart_disease", tmp_path, None, source(server))
    server.cut, server.ranges = None, False
    assert fetch("heart_disease", tmp_path, None, source(server))[0].read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"of another file" * 10, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_an_old_part_of_something_else_does_not_spoil_the_download(
    tmp_path: Path, server: Server, stale: bytes
) -> None:
    (tmp_path / "heart_disease").mkdir()
    (tmp_path / "heart_disease" / "a.bin.part").write_bytes(stale)
    assert fetch("heart_disease", tmp_path, None, source(server))[0].read_bytes() == CONTENT


def test_a_whole_part_gets_its_name_without_a_question(tmp_path: Path, server: Server) -> None:
    (tmp_path / "heart_disease").mkdir()
    (tmp_path / "heart_disease" / "a.bin.part").write_bytes(CONTENT)
    fetch("heart_disease", tmp_path, None, source(server))
    assert not server.asked
    assert files(tmp_path) == {"a.bin": len(CONTENT)}


def test_a_wrong_checksum_leaves_nothing_behind_and_names_both_sums(tmp_path: Path, server: Server) -> None:
    server.files["/a.bin"] = b"<html>not the file</html>"
    found = hashlib.sha256(server.files["/a.bin"]).hexdigest()
    with pytest.raises(DataError, match=f"sha256 {found}; needed {SHA256}; what came was thrown away"):
        fetch("heart_disease", tmp_path, None, source(server))
    assert files(tmp_path) == {}


def test_the_second_address_helps_when_the_first_refuses(tmp_path: Path, server: Server) -> None:
    fetch("heart_disease", tmp_path, None, source(server, "/gone", "/a.bin"))
    assert files(tmp_path) == {"a.bin": len(CONTENT)}
    with pytest.raises(DataError, match="HTTP 404"):
        fetch("heart_disease", tmp_path / "other", None, source(server, "/gone"))
    assert files(tmp_path / "other") == {}


def test_no_network_is_an_error_with_exit_code_three_and_writes_nothing(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody answers and nobody else takes it
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.bin"
        with pytest.raises(DataError, match=r"no answer.*is there a network") as caught:
            fetch("heart_disease", tmp_path, None, [Source("a.bin", (url,), SHA256)])
    assert caught.value.exit_code == 3
    assert files(tmp_path) == {}


def test_a_local_path_is_no_address_and_an_unwritable_folder_is_named(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DataError, match="not an http or https address"):
        fetch("heart_disease", tmp_path, None, [Source("a.bin", ("file:///etc/hostname",), SHA256)])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch("heart_disease", tmp_path / "file", None, source(server))


def test_an_unknown_name_lists_the_known_ones_and_the_embedded_set_needs_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'mnist' given; known: av_digits, hapt, heart_disease, leaves100, sound_mnist"):
        fetch("mnist", tmp_path)
    assert fetch("av_digits", tmp_path) == []


def test_every_file_that_a_loader_reads_has_an_address() -> None:
    for name in ("sound_mnist", "heart_disease", "leaves100"):
        assert set(originals.missing(name, None)) == {entry.file for entry in sources.SOURCES[name]}
        assert all(url.startswith("https://") for entry in sources.SOURCES[name] for url in entry.urls)


@needs("sound_mnist")
def test_a_fetched_sound_mnist_is_complete_with_its_pair_lists(tmp_path: Path, server: Server) -> None:
    assert DATA_DIR is not None
    folder = DATA_DIR / "sound_mnist"
    here = f"http://127.0.0.1:{server.server_port}/"
    wanted = []
    for entry in sources.SOURCES["sound_mnist"]:
        archive = next((folder / name for name in packed.FSDD_ARCHIVES if (folder / name).is_file()), None)
        path = archive if entry.sha256 is None else folder / entry.file
        assert path is not None
        server.files[f"/{entry.file}"] = path.read_bytes()
        wanted.append(Source(entry.file, (here + entry.file,), entry.sha256))
    paths = fetch("sound_mnist", tmp_path, None, wanted)
    assert originals.missing("sound_mnist", tmp_path) == ()
    assert all(path.is_file() for path in paths)
    for name in ("av6_pairs.csv", "smil_pairs.csv"):
        assert (
            hashlib.sha256((tmp_path / "sound_mnist" / name).read_bytes()).hexdigest()
            == originals.SHA256["sound_mnist"][name]
        )
    asked = len(server.asked)
    assert fetch("sound_mnist", tmp_path, None, wanted) == paths
    assert len(server.asked) == asked


@needs("leaves100")
def test_an_archive_is_accepted_for_its_content_and_refused_for_another(tmp_path: Path, server: Server) -> None:
    assert DATA_DIR is not None
    tables = packed.leaf_tables(DATA_DIR / "leaves100" / "leaves100.zip")
    made = tmp_path / "made.zip"
    with zipfile.ZipFile(made, "w") as archive:  # not compressed: other bytes than any known archive
        for name, content in tables.items():
            archive.writestr(f"folder/{name}", content)
    server.files = {"/good.zip": made.read_bytes(), "/bad.zip": made.read_bytes().replace(b"Acer", b"acer")}
    here = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(DataError, match="what came was thrown away"):
        fetch("leaves100", tmp_path, None, [Source("leaves100.zip", (f"{here}/bad.zip",), None)])
    wanted = [Source("leaves100.zip", (f"{here}/bad.zip", f"{here}/good.zip"), None)]
    (path,) = fetch("leaves100", tmp_path, None, wanted)
    assert packed.leaf_tables(path) == tables
    asked = len(server.asked)
    assert fetch("leaves100", tmp_path, None, wanted) == [path]
    assert len(server.asked) == asked


def test_a_set_that_nobody_hosts_says_how_its_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"hapt_labelled_signals.npz, so it cannot be fetched; .*fedmce\.data\.builders\.hapt"
    ):
        fetch("hapt", tmp_path)


@needs("hapt")
def test_a_set_that_nobody_hosts_but_is_there_is_whole() -> None:
    assert DATA_DIR is not None
    assert fetch("hapt", DATA_DIR) == [DATA_DIR / "hapt" / packed.HAPT_ARCHIVES[0]]

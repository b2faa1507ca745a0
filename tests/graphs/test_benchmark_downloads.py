"""Benchmark downloads: how files are made from their sources, and downloads from a local server that often fails."""

import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pytest

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.graphs import benchmark_downloads
from lass_hf.graphs.benchmark_downloads import download
from lass_hf.graphs.benchmark_sources import (
    BENCHMARKS,
    LONG_TEXT,
    BenchmarkFile,
    decode_ids,
    extract_descriptions,
    extract_member,
    select_names,
    tidy,
)

REQUIRED = ["train.tsv", "dev.tsv", "test.tsv", "entity2text.txt", "relation2text.txt"]
DATA = os.environ.get("LASS_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")


def archive(folder="", **files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}{name}.txt")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


# How files are made

TRIPLETS = archive(train=b"/m/a\tr\t/m/b\n", valid=b"/m/b\tr\t/m/c\n", test=b"/m/c\tr\t/m/c\n")


def test_a_tidied_file_ends_in_one_newline_and_no_line_in_a_tab():
    assert tidy(b"a\tone\nb\ttwo\t\nc\tthree  \nd\tfour") == b"a\tone\nb\ttwo\nc\tthree  \nd\tfour\n"
    assert tidy(b"a\tb\tc\t1\n") == b"a\tb\tc\t1\n"


@pytest.mark.parametrize("folder", ["", "./", "Release/"])
def test_a_member_of_an_archive_is_found_in_any_folder(folder):
    assert extract_member("valid.txt", archive(folder, train=b"no\n", valid=b"yes\n")) == b"yes\n"


def test_ids_become_names_in_the_order_of_the_lines():
    train = b"3\n2\t0\t1\n0 1 0\n0 1 0\n"  # head, tail, relation; OpenKE's files have tabs or spaces
    entities, relations = b"3\n__a_1\t0\n__b_2\t1\n1st_earl\t2", b"2\n_part_of\t0\n_type_of\t1"
    expected = b"1st_earl\t_type_of\t__a_1\n__a_1\t_part_of\t__b_2\n__a_1\t_part_of\t__b_2\n"
    assert decode_ids(train, entities, relations) == expected


def test_names_of_unused_entities_go_and_underscores_become_spaces():
    names = b"/m/c\tSan_Jos\xc3\xa9__(city)\n/m/unused\tNobody\n/m/a\tA-GB\n/m/b\tB\n"
    assert select_names(names, TRIPLETS).decode() == "/m/c\tSan José  (city)\n/m/a\tA-GB\n/m/b\tB\n"


def test_a_description_loses_the_name_and_its_escapes():
    lines = [
        r"/m/a" + "\t" + r"A -- A is \"the first\" -- or not.\r\nIt is \n\n\"so\" é",
        r"/m/unused" + "\t" + "U -- Unused.",
        r"/m/c" + "\t" + "A name without description",
        r"/m/b" + "\t" + r"B -- John \"B" + "\\",
    ]
    made = extract_descriptions("\n".join(lines).encode(), TRIPLETS).decode()
    assert made == '/m/a\tA is "the first" -- or not. It is "so" é\n/m/b\tJohn "B\n'


def test_each_benchmark_has_the_files_of_a_graph_and_sources_pinned_to_a_commit():
    assert list(BENCHMARKS) == ["umls", "wn18rr", "fb15k-237", "wn11", "fb13"]
    for name, files in BENCHMARKS.items():
        assert sorted(file.name for file in files if file.name != LONG_TEXT) == sorted(REQUIRED), name
        for source in (source for file in files for source in file.sources):
            commit = source.split("/")[2]
            assert len(commit) == 40
            assert set(commit) <= set("0123456789abcdef"), source
    with_long_text = [name for name, files in BENCHMARKS.items() if LONG_TEXT in [file.name for file in files]]
    assert with_long_text == ["umls", "fb15k-237"]


@needs_data
@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_pinned_checksums_are_those_of_the_benchmarks(name):
    for file in BENCHMARKS[name]:
        assert hashlib.sha256(Path(DATA, name, file.name).read_bytes()).hexdigest() == file.sha256, file.name


@needs_data
@pytest.mark.parametrize(("name", "sizes"), [("wn11", (1462370, 815745)), ("fb13", (3829833, 1730405))])
def test_openke_numbers_names_by_first_occurrence_and_decodes_to_the_pinned_file(name, sizes):
    """Files written by that rule have the sizes of OpenKE's, and are decoded to train.tsv byte by byte."""
    rows = [line.split("\t")[:3] for file in REQUIRED[:3] for line in Path(DATA, name, file).read_text().splitlines()]
    files = {file.name: file for file in BENCHMARKS[name]}
    train = rows[: len(Path(DATA, name, "train.tsv").read_text().splitlines())]
    entities = {entity: n for n, entity in enumerate(dict.fromkeys(e for row in rows for e in row[::2]))}
    relations = {relation: n for n, relation in enumerate(dict.fromkeys(row[1] for row in train))}
    train2id = "\n".join([str(len(train)), *(f"{entities[h]}\t{entities[t]}\t{relations[r]}" for h, r, t in train)])
    entity2id, relation2id = (
        "\n".join([str(len(names)), *(f"{key}\t{number}" for key, number in names.items())])
        for names in (entities, relations)
    )
    assert (len(train2id), len(entity2id)) == sizes
    made = decode_ids(train2id.encode(), entity2id.encode(), relation2id.encode())
    assert hashlib.sha256(made).hexdigest() == files["train.tsv"].sha256


# Downloads


class Server:
    """A server on loopback that sends `content[path]`, or fails in the way of `faults[path]`."""

    def __init__(self):
        self.content: dict[str, bytes] = {}
        self.faults: dict[str, str] = {}
        self.requests: list[str] = []
        self.done = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/")
        self.requests.append(path)
        fault, content = self.faults.get(path), self.content.get(path, b"")
        if fault == "404":
            request.send_error(404)
            return
        if fault == "silent":
            self.done.wait(10)
            return
        if fault == "changed":
            content = b"<html>something else</html>"
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if fault == "dropped" else content)

    def close(self):
        self.done.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setattr(benchmark_downloads, "BASE_URL", server.url)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def umls(server, graph_folder, monkeypatch):
    """Replaces the files of `umls` by those of the tiny graph: texts as files, triplets in an archive, a long text."""
    contents = {path.name: path.read_bytes() for path in graph_folder.iterdir()}
    contents[LONG_TEXT] = b"cat\ta cat, at length\n"
    members = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
    server.content = {f"o/r/c/{name}": content.rstrip(b"\n") for name, content in contents.items()}
    server.content["o/r/c/all.tar.gz"] = archive(**{key: contents[name] for key, name in members.items()})
    make = {name: (partial(extract_member, f"{key}.txt"), ("o/r/c/all.tar.gz",)) for key, name in members.items()}
    files = [
        BenchmarkFile(name, hashlib.sha256(content).hexdigest(), *make.get(name, (tidy, (f"o/r/c/{name}",))))
        for name, content in contents.items()
    ]
    monkeypatch.setitem(BENCHMARKS, "umls", files)
    return contents


def files_in(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if not path.is_dir() and path.suffix != ".lock"]
    return sorted(str(path.relative_to(folder)) for path in files)


def test_a_download_gives_the_files_and_asks_for_each_source_once(server, umls, cache, graph):
    folder = download("umls")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {name: umls[name] for name in REQUIRED}
    assert sorted(server.requests) == ["o/r/c/all.tar.gz", "o/r/c/entity2text.txt", "o/r/c/relation2text.txt"]
    assert (KnowledgeGraph.from_directory(folder)["train"].triplets == graph["train"].triplets).all()


def test_a_file_in_the_cache_is_not_downloaded_again(server, umls, cache):
    download("umls")
    server.requests.clear()
    download("umls")
    assert server.requests == []
    download("umls", long_text=True)
    assert server.requests == [f"o/r/c/{LONG_TEXT}"]


def test_a_damaged_file_in_the_cache_is_downloaded_again(server, umls, cache):
    folder = download("umls")
    (folder / "entity2text.txt").write_bytes(b"cat\ta dog\n")
    server.requests.clear()
    assert (download("umls") / "entity2text.txt").read_bytes() == umls["entity2text.txt"]
    assert server.requests == ["o/r/c/entity2text.txt"]


def test_one_of_many_threads_downloads_and_the_others_wait(server, umls, cache):
    with ThreadPoolExecutor(6) as threads:
        folders = list(threads.map(download, ["umls"] * 6))
    assert {tuple(files_in(folder)) for folder in folders} == {tuple(sorted(REQUIRED))}
    assert sorted(server.requests) == ["o/r/c/all.tar.gz", "o/r/c/entity2text.txt", "o/r/c/relation2text.txt"]


def test_a_thread_that_waited_for_a_failed_download_tries_too(server, umls, cache):
    server.faults["o/r/c/all.tar.gz"] = "404"

    def outcome(_):
        with pytest.raises(GraphError, match="HTTP 404"):
            download("umls")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(outcome, range(3)))
    assert files_in(cache) == []
    server.faults.clear()
    assert files_in(download("umls")) == sorted(REQUIRED)


FAULTS = {
    "404": r"cannot be downloaded \(HTTP 404 Not Found\)",
    "dropped": r"cannot be downloaded \(the connection ended after \d+ bytes, \d+ too early\)",
    "silent": r"cannot be downloaded \(timed out\)",
    "changed": "another content than the one that is known",
}


@pytest.mark.parametrize("source", ["relation2text.txt", "all.tar.gz"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_download_that_fails_says_why_and_leaves_no_file(server, umls, cache, monkeypatch, fault, source):
    server.faults[f"o/r/c/{source}"] = fault
    monkeypatch.setattr(benchmark_downloads, "TIMEOUT", 0.1 if fault == "silent" else 10)
    with pytest.raises(GraphError, match=FAULTS[fault]) as raised:
        download("umls")
    message = str(raised.value)
    assert message.startswith(f"umls: {server.url}/o/r/c/{source} ")
    assert "give a folder of your own with" in message
    assert all(name in message for name in REQUIRED)
    assert message.endswith("as data_dir (--graph)")
    assert "\n" not in message
    assert files_in(cache) == []
    server.faults.clear()
    assert files_in(download("umls")) == sorted(REQUIRED)


def test_a_source_without_end_is_not_downloaded(server, umls, cache, monkeypatch):
    monkeypatch.setattr(benchmark_downloads, "LARGEST", 10)
    with pytest.raises(GraphError, match=r"cannot be downloaded \(more than 10 bytes\)"):
        download("umls")
    assert files_in(cache) == []


def test_the_error_for_a_wrong_checksum_names_both(server, umls, cache):
    server.faults["o/r/c/relation2text.txt"] = "changed"
    wanted = hashlib.sha256(umls["relation2text.txt"]).hexdigest()[:12]
    found = hashlib.sha256(b"<html>something else</html>\n").hexdigest()[:12]
    with pytest.raises(GraphError, match=rf"SHA-256 of relation2text.txt is {found}\.\.\., expected {wanted}"):
        download("umls")


def test_a_host_that_cannot_be_reached(server, umls, cache, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with monkeypatch.context() as patch:
        patch.setattr(benchmark_downloads, "BASE_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(
            GraphError, match=rf"umls: http://127.0.0.1:{port}/.* \(Connection refused\); .* as data_dir"
        ):
            download("umls")
    assert files_in(cache) == []
    assert files_in(download("umls")) == sorted(REQUIRED)


def test_a_long_text_that_cannot_be_downloaded_fails_only_loads_with_long_texts(server, umls, cache):
    server.faults[f"o/r/c/{LONG_TEXT}"] = "changed"
    with pytest.raises(GraphError, match=f"leave long_text out, or give a folder of your own that holds {LONG_TEXT}"):
        download("umls", long_text=True)
    assert files_in(cache) == []
    assert files_in(download("umls")) == sorted(REQUIRED)


def test_a_benchmark_without_long_texts_says_so(server, cache):
    with pytest.raises(GraphError, match="wn18rr: no source has long texts"):
        download("wn18rr", long_text=True)
    assert server.requests == []


def test_a_full_disk_leaves_no_file(server, umls, cache, monkeypatch):
    write, written = Path.write_bytes, []

    def fail_at_the_third(path, content):
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail_at_the_third)
        with pytest.raises(GraphError, match=r"umls: the cache .* cannot be written \(No space left on device\)"):
            download("umls")
    assert files_in(cache) == []
    assert files_in(download("umls")) == sorted(REQUIRED)


def test_offline_mode_uses_the_cache_and_makes_no_request(server, umls, cache, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(GraphError, match=r"offline mode .* forbids to download; give a folder of your own"):
        download("umls")
    assert server.requests == []
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    download("umls")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert files_in(download("umls")) == sorted(REQUIRED)
    assert server.requests == []


BLOCK = 1 << 17


def damaged_archives() -> dict[str, bytes]:
    """Returns archives damaged in different places, so that gzip, deflate or tar detects the damage."""
    tar = gzip.decompress(archive(**dict.fromkeys(("train", "valid", "test"), b"cat\tis_a\tanimal\n" * 20_000)))
    deflate = zlib.compressobj(wbits=31)
    blocks = [
        deflate.compress(tar[n : n + BLOCK]) + deflate.flush(zlib.Z_FULL_FLUSH) for n in range(0, len(tar), BLOCK)
    ]
    blocks.append(deflate.flush())
    archives = {
        f"block {n}": b"".join([*blocks[:n], b"\xff" + blocks[n][1:], *blocks[n + 1 :]])  # \xff: a type that none has
        for n in range(1, len(blocks) - 1)
    }
    half = len(tar) // 2
    return archives | {
        "no gzip": b"\xff" + b"".join(blocks),
        "no tar": gzip.compress(b"no tar file"),
        "no second part": gzip.compress(tar[:half]) + b"PK" + gzip.compress(tar[half:]),
        "ends early": b"".join(blocks[: len(blocks) // 2]),
    }


DAMAGED = damaged_archives()


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_archive_is_a_graph_error(server, umls, cache, damage):
    server.content["o/r/c/all.tar.gz"] = DAMAGED[damage]
    with pytest.raises(GraphError, match=r"all.tar.gz gave another content than the one that is known: ") as raised:
        download("umls")
    assert "\n" not in str(raised.value)
    assert files_in(cache) == []


def test_damaged_archives_raise_all_of_these_errors():
    """Without this, the test above might try one kind of damage only."""
    shown = set()
    for damaged in DAMAGED.values():
        for name in ("train", "valid", "test"):
            try:
                extract_member(f"{name}.txt", damaged)
            except Exception as error:
                shown.add(type(error))
    assert {zlib.error, gzip.BadGzipFile, EOFError, tarfile.ReadError} <= shown

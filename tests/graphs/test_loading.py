"""Graphs by name: a graph that passes through `datasets` equals that of the folder, and its cache is never outdated."""

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tiny import RELATION_TEXT, TEST, TRAIN, VALIDATION, assert_same_graph, write_graph

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.core.errors import GraphError
from lass_hf.graphs import benchmark_sources, datasets_builder, loading
from lass_hf.graphs.datasets_builder import READING_CODE, GraphBuilder, fingerprint, load_tables
from lass_hf.graphs.loading import load_graph

DATA = os.environ.get("LASS_DATA_DIR")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return write_graph(tmp_path / "graph")


@pytest.fixture
def reads(monkeypatch):
    """Records the folders that were read as text."""
    read, folders = KnowledgeGraph.from_directory.__func__, []

    def counted(cls, path, **options):
        folders.append(str(path))
        return read(cls, path, **options)

    monkeypatch.setattr(KnowledgeGraph, "from_directory", classmethod(counted))
    return folders


# Folders

FALSE = [("food", "eats", "cat", "-1"), ("garden", "is_a", "dog", "0")]
LABELED = [(*row, "1") for row in TEST] + FALSE


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"test": LABELED},
        {"validation": [(*row, "1") for row in VALIDATION] + FALSE, "test": LABELED},
        {"train": [*TRAIN, *TRAIN[:3]], "test": [*TEST, *TEST]},
        {"validation": None, "test": None},
        {"train": None, "validation": None, "test": TEST[:1]},
        {"entity_text": None},
    ],
    ids=["plain", "labels in test", "labels", "duplicates", "train only", "one line", "no texts"],
)
@pytest.mark.parametrize("name", ["umls", "fb15k-237"])
def test_a_benchmark_is_the_graph_of_its_folder_the_first_and_the_second_time(tmp_path, reads, name, files):
    folder = write_graph(tmp_path / "data", **files)
    graph = KnowledgeGraph.from_directory(folder)
    reads.clear()
    assert_same_graph(load_benchmark(name, data_dir=folder), graph)
    assert_same_graph(load_benchmark(name, data_dir=str(folder)), graph)
    assert reads == [str(folder)]  # once, for three tables and two calls


def test_ids_and_texts_stay_the_same_strings(tmp_path):
    names = ["007", "null", "NaN", "1e5", "true", '"quoted', "a,b", "two  spaces", "é\u2028x"]
    rows = [(head, "0", tail) for head in names for tail in names]
    texts = {name: f"text of {name}" for name in names}
    folder = write_graph(tmp_path / "data", rows, None, None, None)
    (folder / "entity2text.txt").write_text("".join(f"{key}\t{text}\n" for key, text in texts.items()))
    graph = load_benchmark("wn18rr", data_dir=folder)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == {k: v.strip() for k, v in texts.items()}
    assert graph.relations.ids == ["0"]
    assert_same_graph(graph, KnowledgeGraph.from_directory(folder))


def test_long_texts_are_cached_apart_from_short_ones(folder):
    (folder / "entity2textlong.txt").write_text("cat\ta cat, at length\n")
    for _ in range(2):
        short, long = (load_benchmark("umls", folder, long_text=long_text) for long_text in (False, True))
        assert short.entities.texts[short.entities.index["cat"]] == "cat, a small animal that purrs"
        assert long.entities.texts[long.entities.index["cat"]] == "a cat, at length"
        assert_same_graph(long, KnowledgeGraph.from_directory(folder, long_text=True))


def test_a_dataset_folder_is_a_data_dir_too(graph, tmp_path, reads):
    graph.save_dataset(tmp_path / "data")
    assert_same_graph(load_benchmark("umls", tmp_path / "data"), graph)
    reads.clear()
    KnowledgeGraph.from_triplets(TRAIN[:3]).save_dataset(tmp_path / "data")
    assert len(load_benchmark("umls", tmp_path / "data")["train"]) == 3
    assert len(reads) == 1


@pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")
@pytest.mark.parametrize("name", benchmark_sources.BENCHMARKS)
def test_a_real_benchmark_is_the_graph_of_its_folder(name):
    folder, long_text = Path(DATA, name), name in ("umls", "fb15k-237")
    graph = KnowledgeGraph.from_directory(folder, long_text=long_text)
    for _ in range(2):
        assert_same_graph(load_benchmark(name, folder, long_text=long_text), graph)


def test_a_card_of_other_tables_beside_the_texts_is_ignored(folder, graph):
    card = "---\nconfigs:\n- config_name: raw\n  data_files: [{split: train, path: /raw/*}]\n---\n"
    (folder / "README.md").write_text(card)
    assert_same_graph(load_benchmark("umls", folder), graph)


def test_countries_takes_a_data_dir_as_well(folder, graph):
    assert_same_graph(load_benchmark("countries", folder), graph)


# Tables


def test_the_tables_are_strings_in_the_order_of_the_integers(folder, graph):
    tables = load_tables("umls", folder)
    assert {name: len(split) for name, split in tables["triplets"].items()} == {"train": 14, "validation": 3, "test": 3}
    for split in tables["triplets"].values():
        assert {name: feature.dtype for name, feature in split.features.items()} == dict.fromkeys(
            ("head", "relation", "tail"), "string"
        )
    assert [tuple(row.values()) for row in tables["triplets"]["train"]] == TRAIN
    for kind in ("entities", "relations"):
        assert list(tables[kind]) == ["train"]
        assert tables[kind]["train"]["id"][:] == getattr(graph, kind).ids
        assert tables[kind]["train"]["text"][:] == getattr(graph, kind).texts
    assert {row["id"]: row["text"] for row in tables["relations"]["train"]} == RELATION_TEXT


def test_splits_share_their_columns_and_a_split_without_labels_has_null_ones(tmp_path):
    triplets = load_tables("wn11", write_graph(tmp_path / "data", test=LABELED))["triplets"]
    assert triplets["train"].features == triplets["validation"].features == triplets["test"].features
    assert triplets["test"].features["label"].dtype == "int8"
    assert triplets["test"]["label"][:] == [1, 1, 1, 0, 0]
    assert set(triplets["train"]["label"]) == {None}


def test_a_builder_is_used_as_datasets_builders_are(folder, cache):
    builder = GraphBuilder(config_name="entities", data_dir=folder, dataset_name="mine")
    builder.download_and_prepare()
    assert len(builder.as_dataset(split="train")) == 10
    assert Path(builder.cache_dir).is_relative_to(cache / "mine")
    assert fingerprint(folder) in builder.cache_dir
    with pytest.raises(ValueError, match="triplets"):
        GraphBuilder(config_name="entitys", data_dir=folder)


def test_no_progress_bars_for_milliseconds_and_they_are_back_after(folder, capsys):
    datasets.enable_progress_bars()
    load_benchmark("umls", folder)
    assert capsys.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()


# Bad input


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("train.tsv", "a\tb\tc\na\tb\n", r"train.tsv, line 2: 2 column\(s\), expected 3"),
        ("test.tsv", "cat\tis_a\tdog\tperhaps\n", r"test.tsv, line 1: label 'perhaps'"),
        ("entity2text.txt", "cat\tcat\ncat\tdog\n", "entity2text.txt, line 2: a second, different text for 'cat'"),
        ("relation2text.txt", "is_a\tis a\n\n\tx\n", "relation2text.txt, line 2: 1 tab-separated"),
    ],
)
def test_errors_name_file_and_line_and_leave_no_table(folder, cache, file, content, fault):
    good = (folder / file).read_text()
    (folder / file).write_text(content)
    with pytest.raises(GraphError, match=fault):
        load_benchmark("umls", folder)
    assert list(cache.rglob("*.arrow")) == []
    (folder / file).write_text(good)
    assert len(load_benchmark("umls", folder)["train"]) == 14


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(GraphError, match="nowhere: no such folder"):
        load_benchmark("umls", tmp_path / "nowhere")


@pytest.mark.parametrize("load", [load_benchmark, load_graph])
def test_an_unknown_name_lists_the_known_ones(tmp_path, monkeypatch, load):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraphError, match=r"'?freebase'?.*; known are countries, umls, wn18rr, fb15k-237, wn11, fb13"):
        load("freebase")


def test_a_mistyped_folder_is_an_error_about_folders(monkeypatch):
    def refuse(name, **_):
        raise GraphError(f"{name}: no graph could be loaded from the hub (no such dataset)")

    monkeypatch.setattr(KnowledgeGraph, "from_hub", refuse)
    with pytest.raises(GraphError, match=r"^graphz/umls: no such folder, and no graph could be loaded from the hub"):
        load_graph("graphz/umls")


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(GraphError, match=r"umls: the cache .*file/cache cannot be used .*; set HF_DATASETS_CACHE"):
        load_benchmark("umls", folder)


def test_a_disk_that_fills_up_leaves_no_table(folder, cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(datasets.arrow_writer.ArrowWriter, "write_table", full)
        with pytest.raises(GraphError, match=r"cannot be used \(.*No space left on device\)"):
            load_benchmark("umls", folder)
    assert list(cache.rglob("*.arrow")) == []
    assert len(load_benchmark("umls", folder)["train"]) == 14


# The cache


def test_a_changed_file_is_read_again_whatever_its_time_and_size(folder, reads):
    load_benchmark("umls", folder)
    file = folder / "entity2text.txt"
    before = file.stat()
    file.write_text(file.read_text().replace("purrs", "meows"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert "cat, a small animal that meows" in load_benchmark("umls", folder).entities.texts
    assert len(reads) == 2


def test_a_new_or_lost_file_is_noticed(folder):
    assert "test" in load_benchmark("umls", folder)
    (folder / "test.tsv").rename(folder / "kept")
    assert "test" not in load_benchmark("umls", folder)
    (folder / "kept").rename(folder / "valid.tsv")
    with pytest.raises(GraphError, match=r"dev.tsv and valid.tsv are the same split"):
        load_benchmark("umls", folder)


def test_a_changed_file_is_noticed_wherever_the_card_has_it(graph, tmp_path):
    """The folder has the layout of `push_to_hub`, Parquet files without a suffix, and unrelated files."""
    folder = tmp_path / "data"
    graph.save_dataset(folder)
    (folder / "entities").mkdir()
    (folder / "entities.parquet").rename(folder / "entities" / "train-0")
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace("entities.parquet", "entities/train-*"), encoding="utf-8")
    assert_same_graph(load_benchmark("umls", folder), graph)

    before = fingerprint(folder)
    for unread in (".git/train-1", "old/train.parquet"):
        (folder / unread).parent.mkdir()
        (folder / unread).write_bytes(b"no table")
    assert fingerprint(folder) == before

    file = folder / "entities" / "train-0"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    rows = pq.read_table(file).to_pydict()
    pq.write_table(pa.table({"id": rows["id"], "text": [text.upper() for text in rows["text"]]}), file)
    os.utime(file, ns=times)
    assert load_benchmark("umls", folder).entities.texts == [text.upper() for text in graph.entities.texts]

    pq.write_table(pq.read_table(file)[4:], folder / "entities" / "train-1")
    pq.write_table(pq.read_table(file)[:4], file)
    both = fingerprint(folder)
    assert load_benchmark("umls", folder).entities.ids == graph.entities.ids
    for names in (("train-0", "kept"), ("train-1", "train-0"), ("kept", "train-1")):  # the same contents, swapped
        (folder / "entities" / names[0]).rename(folder / "entities" / names[1])
    assert fingerprint(folder) != both


def test_changed_code_does_not_load_tables_of_older_code(folder, reads, monkeypatch, tmp_path):
    module = tmp_path / "reader.py"
    monkeypatch.setattr(datasets_builder, "READING_CODE", [*READING_CODE, module])
    for code, times in (("old", 1), ("new", 2), ("old", 2)):
        module.write_text(code)
        load_benchmark("umls", folder)
        assert len(reads) == times


def test_the_hashed_code_is_all_code_that_reads_a_folder():
    waiting, reached = (
        [Path(datasets_builder.__file__).with_name("text_folder.py")],
        {Path(datasets_builder.__file__), READING_CODE[-2]},
    )
    while waiting:
        module = waiting.pop()
        reached.add(module)
        for wing, name in re.findall(r"^from \.(?:\.(\w+)\.)?(\w+) import", module.read_text(), re.MULTILINE):
            found = (module.parents[1] / wing if wing else module.parent) / f"{name}.py"
            if found not in reached and name not in (
                "errors",
                "known_triplets",
                "atomic_files",
            ):  # These modules read no graph.
                waiting.append(found)
    assert {path.resolve() for path in READING_CODE} == {path.resolve() for path in reached}


# Downloaded, offline, and without `datasets`


def test_a_downloaded_benchmark_passes_through_datasets_too(folder, graph, monkeypatch, reads):
    calls = []

    def download(name, *, long_text):
        calls.append((name, long_text))
        return folder

    monkeypatch.setattr(loading, "download", download)
    assert_same_graph(load_benchmark("wn11"), graph)
    assert_same_graph(load_graph("wn11"), graph)
    assert calls == [("wn11", False)] * 2
    assert reads == [str(folder)]


def test_a_warm_cache_needs_no_network(folder, graph, cache, monkeypatch):
    files = [
        benchmark_sources.BenchmarkFile(name, hashlib.sha256(content).hexdigest(), bytes, ("o/r/c",))
        for name, content in ((path.name, path.read_bytes()) for path in folder.iterdir())
    ]
    monkeypatch.setitem(benchmark_sources.BENCHMARKS, "umls", files)
    (cache / "lass_hf").mkdir(parents=True)
    folder.rename(cache / "lass_hf" / "umls")

    def refuse(*arguments, **_):
        raise AssertionError(f"a connection was tried: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for offline in (True, False, True):
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        assert_same_graph(load_benchmark("umls"), graph)


def test_a_local_folder_takes_precedence_over_a_benchmark_of_the_same_name(folder, graph, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename("wn18rr")
    assert_same_graph(load_graph("wn18rr"), graph)


def modules_after(code):
    """Returns the names of the modules that a fresh process has imported after the code."""
    code += "\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_countries_and_folders_load_without_datasets(folder):
    code = f"""
from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.graphs.loading import load_graph
load_benchmark("countries")
load_graph({str(folder)!r})
KnowledgeGraph.from_directory({str(folder)!r})
"""
    assert "datasets" not in modules_after(code)


def test_graphs_are_loaded_summarized_and_saved_without_torch_and_transformers(folder, tmp_path):
    code = f"""
import datasets
from lass_hf.graphs import hub
from lass_hf.graphs.inductive_split import inductive_split
from lass_hf.graphs.loading import load_benchmark, load_graph
datasets.config.HF_DATASETS_CACHE = {str(tmp_path / "tables")!r}
graph = load_graph({str(folder)!r})
assert graph.summary()["splits"]["train"]["triplets"] == {len(TRAIN)}
load_benchmark("umls", {str(folder)!r})
graph.save_dataset({str(tmp_path / "saved")!r})
inductive_split(graph, 0.5, 1)
"""
    assert not {"torch", "transformers"} & modules_after(code)

"""Graphs as datasets of a hub: pushing, loading, loading by `datasets` alone in a fresh process, and failures."""

import hashlib
import json
import subprocess
import sys

import pytest
from helpers.hub_server import TOKEN, Repo, environment
from helpers.tiny import assert_same_graph, one_line, write_graph

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError, HubError
from lass_hf.graphs.loading import load_graph

NAME = "user/animals"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # see tests/test_hub.py


@pytest.mark.parametrize("labeled", [False, True])
def test_hub_gives_back_the_graph_that_was_pushed(labeled, hub, graph, labeled_graph):
    given = labeled_graph if labeled else graph
    info = given.push_to_hub(NAME, private=True, commit_message="Animals")
    repo = hub.repos["datasets", NAME]
    assert repo.private
    assert repo.messages[-1] == "Animals"
    assert info.oid == list(repo.commits)[-1]
    tables = {f"triplets/{split}.parquet" for split in ("train", "validation", "test")}
    assert set(repo.files) == tables | {"entities.parquet", "relations.parquet", "README.md", ".gitattributes"}
    assert b"# animals" in repo.files["README.md"]
    assert_same_graph(KnowledgeGraph.from_hub(NAME), given)
    assert_same_graph(load_graph(NAME), given)


def test_hub_push_removes_a_split_that_the_graph_no_longer_has(hub, graph):
    graph.push_to_hub(NAME)
    train = {"train": (graph["train"].triplets, None)}
    KnowledgeGraph(graph.entities, graph.relations, train).push_to_hub(NAME)
    assert list(KnowledgeGraph.from_hub(NAME).splits) == ["train"]
    assert "triplets/test.parquet" not in hub.files(NAME, "datasets")


def test_hub_push_replaces_text_files_of_a_graph_and_keeps_other_tables(hub, graph, tmp_path):
    hub.repos["datasets", NAME] = repo = Repo()
    folder = write_graph(tmp_path / "graph")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.blobs[hashlib.sha256(b"x").hexdigest()] = b"x"
    repo.commit(before | {"embeddings/mine.parquet": b"x", "notes.txt": b"x"}, "by hand")
    train = KnowledgeGraph(graph.entities, graph.relations, {"train": (graph["train"].triplets[:5], None)})
    train.push_to_hub(NAME)
    assert {"embeddings/mine.parquet", "notes.txt"} <= set(repo.files)
    assert not [name for name in repo.files if name.endswith((".tsv", "2text.txt"))]
    assert_same_graph(KnowledgeGraph.from_hub(NAME), train)


def test_hub_dataset_in_kg_bert_layout_is_a_graph(hub, graph, tmp_path):
    hub.repos["datasets", NAME] = repo = Repo()
    folder = write_graph(tmp_path / "graph")
    repo.commit({path.name: path.read_bytes() for path in folder.iterdir()}, "by hand")
    assert_same_graph(KnowledgeGraph.from_hub(NAME), KnowledgeGraph.from_directory(folder))
    (first,) = repo.commits
    repo.commit({"README.md": b"empty"}, "by hand")
    assert_same_graph(KnowledgeGraph.from_hub(NAME, revision=first), KnowledgeGraph.from_directory(folder))
    with pytest.raises(GraphError, match=r"no train\.tsv"):
        KnowledgeGraph.from_hub(NAME)


LOAD = """
import json, sys
from datasets import load_dataset
name = sys.argv[1]
tables = {table: load_dataset(name, table) for table in ("triplets", "entities", "relations")}
told = {table: {split: rows.to_list() for split, rows in splits.items()} for table, splits in tables.items()}
told["default"] = load_dataset(name, split="test").to_list()
import lass_hf
graph = lass_hf.KnowledgeGraph.from_datasets(**tables)
told["known"] = len(graph.known)
lass_hf.KnowledgeGraph.from_hub(name).push_to_hub("user/copy")
print(json.dumps(told))
"""


def test_hub_dataset_is_loaded_by_datasets_in_a_fresh_process(hub, graph, tmp_path):
    graph.push_to_hub(NAME)
    made = subprocess.run(
        [sys.executable, "-c", LOAD, NAME],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment(hub, tmp_path / "fresh"),
    )
    assert not made.returncode, made.stderr
    told, given = json.loads(made.stdout), graph.to_datasets()
    for split, rows in given["triplets"].items():
        assert told["triplets"][split] == rows.to_list()
    assert told["default"] == told["triplets"]["test"]
    assert told["entities"] == {"train": given["entities"].to_list()}
    assert told["relations"] == {"train": given["relations"].to_list()}
    assert told["known"] == len(graph.known)
    copy = hub.files("user/copy", "datasets")
    assert {name: data for name, data in copy.items() if name != "README.md"} == {
        name: data for name, data in hub.files(NAME, "datasets").items() if name != "README.md"
    }


# What goes wrong


def test_hub_push_of_a_graph_with_a_bad_token_says_so(hub, graph):
    with pytest.raises(HubError) as caught:
        graph.push_to_hub(NAME, token="hf_wrong")
    one_line(caught, NAME, "the hub does not accept the token")
    assert not hub.repos


def test_hub_push_of_a_graph_that_has_no_triplets_is_refused(hub, graph):
    with pytest.raises(GraphError, match="has no triplets"):
        KnowledgeGraph(graph.entities, graph.relations, {}).push_to_hub(NAME)
    assert not hub.repos


@pytest.mark.parametrize(("method", "call"), [("PUT", "/lfs/"), ("POST", "/commit/")])
def test_hub_push_of_a_graph_that_breaks_off_is_completed_by_a_second(method, call, hub, graph):
    hub.fail(method, call, times=1000)
    with pytest.raises(HubError) as caught:
        graph.push_to_hub(NAME)
    one_line(caught, NAME, "the connection to the hub broke off")
    assert set(hub.files(NAME, "datasets")) == {".gitattributes"}
    hub.faults.clear()
    graph.push_to_hub(NAME)
    assert_same_graph(KnowledgeGraph.from_hub(NAME), graph)


def test_hub_pull_of_a_missing_graph_says_so(hub):
    for load in (KnowledgeGraph.from_hub, load_graph):
        with pytest.raises(GraphError) as caught:
            load("user/nothing")
        one_line(caught, "user/nothing", "no repository of that name")


def test_hub_pull_of_a_graph_with_a_bad_token_says_so(hub, graph):
    graph.push_to_hub(NAME, private=True)
    with pytest.raises(GraphError) as caught:
        KnowledgeGraph.from_hub(NAME, token="hf_wrong")
    one_line(caught, NAME, "the hub does not accept the token")
    assert_same_graph(KnowledgeGraph.from_hub(NAME, token=TOKEN), graph)


@pytest.mark.parametrize("call", ["/lfs/", "README.md", "/tree/", "/api/datasets/"])
def test_hub_pull_of_a_graph_that_breaks_off_is_completed_by_a_second(call, hub, graph):
    graph.push_to_hub(NAME)
    hub.fail("GET", call, times=1000)
    with pytest.raises(GraphError) as caught:
        KnowledgeGraph.from_hub(NAME)
    one_line(caught, NAME, "the connection to the hub broke off")
    hub.faults.clear()
    assert_same_graph(KnowledgeGraph.from_hub(NAME), graph)

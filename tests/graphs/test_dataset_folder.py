"""A graph as a dataset folder: every reader returns the same graph, and no failure leaves a damaged folder."""

from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from helpers.mutations import ALIAS_BOMB
from helpers.odd_graph import make_odd_graph
from helpers.tiny import assert_same_graph, one_line
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.core.errors import GraphError
from lass_hf.graphs import dataset_folder
from lass_hf.graphs.loading import load_graph

FILES = ["README.md", "entities.parquet", "relations.parquet", "triplets"]


@pytest.fixture(params=["graph", "labeled_graph", "odd"])
def any_graph(request):
    return make_odd_graph() if request.param == "odd" else request.getfixturevalue(request.param)


@pytest.fixture
def folder(labeled_graph, tmp_path):
    labeled_graph.save_dataset(tmp_path / "shared")
    return tmp_path / "shared"


@pytest.fixture
def load(tmp_path):
    """Returns `load_dataset` with a cache in the folder of the test."""
    return lambda *given, **choices: datasets.load_dataset(
        *map(str, given), cache_dir=str(tmp_path / "cache"), **choices
    )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_gives_the_graph_back(any_graph, tmp_path):
    any_graph.save_dataset(tmp_path / "label=1" / "shared")  # parents are made; `=` means something to Parquet readers
    assert_same_graph(KnowledgeGraph.from_directory(tmp_path / "label=1" / "shared"), any_graph)
    assert_same_graph(load_graph(str(tmp_path / "label=1" / "shared")), any_graph)  # what `--graph` does


def test_load_dataset_gives_the_tables(any_graph, tmp_path, load):
    folder = tmp_path / "shared"
    any_graph.save_dataset(folder)
    tables = {name: load(folder, name) for name in ("triplets", "entities", "relations")}
    assert_same_graph(KnowledgeGraph.from_datasets(**tables), any_graph)


def test_load_dataset_needs_no_names(folder, labeled_graph, load):
    assert {name: len(table) for name, table in load(folder).items()} == {"train": 14, "validation": 6, "test": 6}
    assert load(folder, "triplets", split="train")[0] == {
        "head": "cat",
        "relation": "is_a",
        "tail": "animal",
        "label": None,
    }
    assert load(folder, "triplets", split="test")["label"][:] == labeled_graph["test"].labels.tolist()
    assert load(folder, "entities", split="train")["id"][:] == labeled_graph.entities.ids
    assert len({str(table.features) for table in load(folder).values()}) == 1  # a hub asks for one schema


def test_the_card_counts_what_is_in_the_folder(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "10 entities and 3 relations" in card
    assert "| test | 6 | 3 | 0 |" in card
    assert "`label`: int8" in card


def test_the_card_of_a_graph_without_labels_has_no_label_column(graph, tmp_path):
    graph.save_dataset(tmp_path / "shared")
    assert "label" not in (tmp_path / "shared" / "README.md").read_text(encoding="utf-8")


def test_the_code_on_the_card_runs(folder, labeled_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    namespace = {}
    exec(code.replace('"..."', repr(str(folder))), namespace)
    assert_same_graph(namespace["graph"], labeled_graph)


def test_a_graph_pushed_in_several_files_is_read(folder, labeled_graph):
    """`datasets.DatasetDict.push_to_hub` makes this layout."""
    train = pq.read_table(folder / "triplets" / "train.parquet")
    for number, part in enumerate((train[:5], train[5:])):
        pq.write_table(part, folder / "triplets" / f"train-{number:05}-of-00002.parquet")
    (folder / "triplets" / "train.parquet").unlink()
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace("triplets/train.parquet", "triplets/train-*"), encoding="utf-8")
    assert_same_graph(KnowledgeGraph.from_directory(folder), labeled_graph)


# Writing


def test_a_dataset_folder_is_replaced(folder, graph):
    (folder / "README.md").write_text("---\nlicense: mit\n---\nmy own words")
    graph.save_dataset(folder)
    assert_same_graph(KnowledgeGraph.from_directory(folder), graph)
    assert names_in(folder.parent) == ["shared"]


def test_an_empty_folder_is_filled(graph, tmp_path):
    graph.save_dataset(tmp_path)
    assert names_in(tmp_path) == FILES
    assert_same_graph(KnowledgeGraph.from_directory(tmp_path), graph)


@pytest.mark.parametrize("name", ["train.tsv", ".git", "notes.txt"])
def test_a_folder_with_anything_else_is_left_alone(folder, graph, name):
    (folder / name).mkdir()
    before = (folder / "entities.parquet").read_bytes()
    with pytest.raises(GraphError, match=rf"shared: not empty.*it holds {name}"):
        graph.save_dataset(folder)
    assert names_in(folder) == sorted([*FILES, name])
    assert (folder / "entities.parquet").read_bytes() == before


def test_a_folder_that_lacks_a_file_is_left_alone(folder, graph):
    (folder / "README.md").unlink()
    with pytest.raises(GraphError, match=r"no README\.md"):
        graph.save_dataset(folder)


def test_a_file_in_place_of_the_folder_is_an_error(graph, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GraphError, match="file: a file; expected a folder"):
        graph.save_dataset(tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_named(graph, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GraphError, match=r"file/shared: cannot be written"):
        graph.save_dataset(tmp_path / "file" / "shared")


@pytest.mark.parametrize("writes", range(5))
def test_a_write_that_breaks_off_changes_nothing(folder, labeled_graph, graph, monkeypatch, writes):
    left, write_table = iter(range(writes)), pq.write_table

    def fail(table, path, **choices):
        if next(left, None) is None:
            path.write_bytes(b"PAR1 half a file")
            raise OSError(28, "No space left on device")
        write_table(table, path, **choices)

    monkeypatch.setattr(pq, "write_table", fail)
    for target in (folder, folder.parent / "new"):
        left = iter(range(writes))
        with pytest.raises(GraphError, match="cannot be written \\(No space left on device\\)"):
            graph.save_dataset(target)
    assert names_in(folder.parent) == ["shared"]
    assert_same_graph(KnowledgeGraph.from_directory(folder), labeled_graph)


def fail_to_rename(monkeypatch, *calls, error):
    """Makes `Path.rename` raise at these calls, counted from 0, on a disk that cannot swap; returns all calls."""
    made, rename = [], Path.rename

    def fail(path, target):
        made.append(path)
        if len(made) - 1 in calls:
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(dataset_folder, "swap_folders", lambda one, other: False)
    return made


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()])
def test_a_replacement_that_breaks_off_changes_nothing(folder, labeled_graph, graph, monkeypatch, call, error):
    """Call 0 takes the old folder away, call 1 puts the new one in its place, call 2 the old one back."""
    made = fail_to_rename(monkeypatch, call, error=error)
    with pytest.raises((GraphError, KeyboardInterrupt)) as raised:
        graph.save_dataset(folder)
    assert len(made) == (1, 3)[call]
    assert str(raised.value) == (f"{folder}: cannot be written (No space left on device)" if error is FULL else "")
    assert names_in(folder.parent) == ["shared"]
    assert_same_graph(KnowledgeGraph.from_directory(folder), labeled_graph)


def test_an_old_folder_that_cannot_be_put_back_is_kept_and_named(folder, labeled_graph, graph, monkeypatch):
    fail_to_rename(monkeypatch, 1, 2, error=FULL)
    with pytest.raises(GraphError, match=r"\(No space left on device\); what it held is in ") as raised:
        graph.save_dataset(folder)
    kept = Path(str(raised.value).rpartition(" ")[2])
    assert names_in(folder.parent) == [kept.name]
    assert_same_graph(KnowledgeGraph.from_directory(kept), labeled_graph)


def test_a_graph_without_triplets_is_not_written(graph, tmp_path):
    bare = KnowledgeGraph(graph.entities, graph.relations, {})
    with pytest.raises(GraphError, match=r"not written.*no triplets"):
        bare.save_dataset(tmp_path / "shared")
    assert names_in(tmp_path) == []


# Reading what is damaged


@pytest.mark.parametrize("name", ["entities.parquet", "triplets/test.parquet"])
def test_a_file_that_is_missing_or_damaged_is_named(folder, name):
    whole = (folder / name).read_bytes()
    for content in (whole[:-20], b"", b"head\trelation\ttail\n"):
        (folder / name).write_bytes(content)
        with pytest.raises(GraphError, match=f"shared: {name} cannot be read"):
            KnowledgeGraph.from_directory(folder)
    (folder / name).unlink()
    with pytest.raises(GraphError, match=f"shared: no file {name}, but README.md lists it"):
        KnowledgeGraph.from_directory(folder)


def test_a_bad_row_of_a_folder_names_the_folder(folder):
    pq.write_table(pq.read_table(folder / "entities.parquet")[1:], folder / "entities.parquet")
    with pytest.raises(GraphError, match="shared: train, row 0: head 'cat' has no row"):
        KnowledgeGraph.from_directory(folder)


def test_long_texts_of_a_dataset_folder_are_an_error(folder):
    with pytest.raises(GraphError, match="one text per entity"):
        KnowledgeGraph.from_directory(folder, long_text=True)


@pytest.mark.parametrize("pattern", ["/entities.parquet", "''", "1", "[1]"])
def test_a_card_that_lists_something_else_than_files_is_an_error(folder, pattern):
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace("path: entities.parquet", f"path: {pattern}"), encoding="utf-8")
    for load in (KnowledgeGraph.from_directory, lambda path: load_benchmark("umls", path)):
        with pytest.raises(GraphError):
            load(folder)


@pytest.mark.parametrize("pattern", ["../other/entities.parquet", "triplets/../../other/*", "{other}/entities.parquet"])
def test_a_card_that_lists_a_file_outside_the_folder_is_refused(folder, graph, pattern):
    graph.save_dataset(folder.parent / "other")
    card, outside = (folder / "README.md").read_text(encoding="utf-8"), pattern.format(other=folder.parent / "other")
    (folder / "README.md").write_text(card.replace("path: entities.parquet", f"path: {outside}"), encoding="utf-8")
    with pytest.raises(GraphError, match=r"README\.md lists .*; expected files, .* relative to the folder"):
        KnowledgeGraph.from_directory(folder)


@pytest.mark.parametrize("linked", ["entities.parquet", "triplets"])
def test_a_link_that_leads_out_of_the_folder_is_refused(folder, graph, linked):
    graph.save_dataset(folder.parent / "other")
    (folder / linked).rename(folder.parent / "away")
    (folder / linked).symlink_to(folder.parent / "other" / linked)
    with pytest.raises(GraphError, match=r"a link to .*other.*; expected files in the folder"):
        KnowledgeGraph.from_directory(folder)


def test_a_link_inside_the_folder_is_followed(folder, labeled_graph):
    (folder / "entities.parquet").rename(folder / "all.parquet")
    (folder / "entities.parquet").symlink_to("all.parquet")
    assert_same_graph(KnowledgeGraph.from_directory(folder), labeled_graph)


@pytest.mark.parametrize("file", ["entities.parquet", "triplets/train.parquet"])
def test_a_flipped_bit_in_the_values_of_a_table_is_found(folder, file):
    whole = (folder / file).read_bytes()
    place = whole.index(b"cheese")
    (folder / file).write_bytes(whole[:place] + b"d" + whole[place + 1 :])
    with pytest.raises(GraphError, match=f"{file} cannot be read .*CRC"):
        KnowledgeGraph.from_directory(folder)


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        (ALIAS_BOMB, "an alias; write its value out, line 2"),
        ("a: [\n", "expected the node content"),
        ("configs: [\nx: 1\n", "line 3"),
        ("configs: " + "[" * 100_000, "nested too deeply"),
        ("x: 1\nx: 2\n", "a key is there twice, line 1"),
        ("x: !!timestamp no\n", "no valid YAML"),
        ("x: " + "y" * 2**20, "letters of YAML; expected at most 1,048,576"),
    ],
    ids=["bomb", "cut", "open", "deep", "twice", "tag", "long"],
)
def test_a_card_whose_metadata_are_no_plain_yaml_is_an_error_of_one_short_line(folder, metadata, fault):
    (folder / "README.md").write_text(f"---\n{metadata}\n---\n")
    with pytest.raises(GraphError, match=fault) as error:
        KnowledgeGraph.from_directory(folder)
    assert len(one_line(error, f"{folder / 'README.md'}: ")) < 500


@pytest.mark.parametrize("card", ["", "# no metadata", "---\nconfigs: 3\n---\n", "---\n- a\n---\n"])
def test_a_folder_with_another_card_is_not_a_graph(folder, card):
    (folder / "README.md").write_text(card)
    with pytest.raises(GraphError, match=r"no train\.tsv"):
        KnowledgeGraph.from_directory(folder)


# Any graph

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@st.composite
def graphs(draw):
    entities, relations = (draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)) for _ in range(2))
    triplet = st.tuples(st.sampled_from(entities), st.sampled_from(relations), st.sampled_from(entities))
    splits = {}
    for name in draw(st.lists(st.sampled_from(["train", "validation", "test"]), min_size=1, unique=True)):
        rows = (
            triplet
            if draw(st.booleans())
            else st.tuples(triplet, st.booleans()).map(lambda row: (*row[0], int(row[1])))
        )
        splits[name] = draw(st.lists(rows, min_size=1, max_size=8))
    texts = [{name: draw(NAMES) for name in names} for names in (entities, relations)]
    return KnowledgeGraph.from_triplets(**splits, entity_text=texts[0], relation_text=texts[1])


@given(graph=graphs())
@settings(max_examples=60, deadline=None)
def test_any_graph_round_trips(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / "shared"
    graph.save_dataset(folder)
    assert_same_graph(KnowledgeGraph.from_directory(folder), graph)
    assert_same_graph(KnowledgeGraph.from_datasets(**graph.to_datasets()), graph)

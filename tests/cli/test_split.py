"""`lass-hf split`: in the folder of a graph or in a new one, whole or not at all."""

import os
import shutil
import time
from collections import Counter

import pytest
from helpers.command_line import content_of, run
from helpers.kills import Kills, contents
from helpers.tiny import ENTITY_TEXT, TRAIN, write_graph

from lass_hf import KnowledgeGraph
from lass_hf.graphs import dataset_folder
from lass_hf.graphs.import_files import SourceRecord, read_source_record

SIZES = ["--validation", 2, "--test", "15%"]


@pytest.fixture
def folder(tmp_path):
    """The folder of a graph with training triplets only, as `lass-hf import` leaves it: with other files beside."""
    made = write_graph(tmp_path / "plain", validation=None, test=None)
    record = SourceRecord("edges.csv", "a table", [], {}, {}, {"cat": "http://e.org/Cat"}, {}, "1", "2026-01-01")
    (made / "source.json").write_text(record.as_json())
    return made


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def triplets_in(folder):
    return Counter(line for name in ("train", "dev", "test") for line in lines(folder / f"{name}.tsv"))


def test_a_folder_is_split_in_place_and_its_other_files_stay(folder, capsys):
    kept = {name: digest for name, digest in contents(folder).items() if name != "train.tsv"}
    before = Counter(lines(folder / "train.tsv"))
    assert run("split", folder, *SIZES) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [f"{folder}:", f"  {len(TRAIN) - 4} train, 2 validation, 2 test"]
    assert out[-1] == f"next: lass-hf train --graph {folder}"
    assert triplets_in(folder) == before
    assert kept.items() <= contents(folder).items()
    assert contents(folder).keys() - kept.keys() == {"train.tsv", "dev.tsv", "test.tsv"}
    graph = KnowledgeGraph.from_directory(folder)
    assert [len(graph[name]) for name in ("train", "validation", "test")] == [len(TRAIN) - 4, 2, 2]


def test_a_kill_leaves_the_old_folder_or_the_new_one(folder, tmp_path):
    before = contents(folder)
    expected = shutil.copytree(folder, tmp_path / "expected")
    run("split", expected, *SIZES)
    kills = Kills(tmp_path, lambda: run("split", folder, *SIZES), tmp_path.parent / f"{tmp_path.name}-states")
    found = [contents(state / "plain") for state in kills.states]
    assert all(state in (before, contents(expected)) for state in found)
    assert found[0] == before
    assert found[-1] == contents(expected)


def test_a_disk_that_cannot_swap_folders_still_gets_the_new_one(folder, monkeypatch):
    monkeypatch.setattr(dataset_folder, "swap_folders", lambda one, other: False)
    before = Counter(lines(folder / "train.tsv"))
    assert run("split", folder, *SIZES, "--quiet") == 0
    assert triplets_in(folder) == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["plain"]


def test_another_folder_gets_the_split_and_the_seed_decides(folder, tmp_path):
    before, made = contents(folder), [tmp_path / "out" / name for name in "abc"]
    file = tmp_path / "split.json"
    for output, seed in zip(made, (1, 1, 2), strict=True):
        assert run("split", folder, *SIZES, "--seed", seed, "--output", output, "--json", file) == 0
    assert contents(folder) == before
    assert contents(made[0]) == contents(made[1]) != contents(made[2])
    assert (made[0] / "source.json").is_file()
    metrics = content_of(file)["metrics"]
    assert (metrics["sizes"]["test"], metrics["unseen_entities"], content_of(file)["seed"]) == (2, 0, 2)


def test_a_named_graph_is_split_into_a_folder(tmp_path, capsys):
    file, options = tmp_path / "split.json", ["--validation", 0, "--test", 0, "--inductive", "30%"]
    assert run("split", "countries", *options, "--output", tmp_path / "out", "--json", file) == 0
    seen, unseen = (KnowledgeGraph.from_directory(tmp_path / "out" / name) for name in ("seen", "unseen"))
    assert content_of(file)["metrics"] == {
        name: {"entities": part.num_entities, "sizes": {split: len(some) for split, some in part.splits.items()}}
        for name, part in (("seen", seen), ("unseen", unseen))
    }
    assert not set(seen.entities.ids) & {
        unseen.entities.ids[entity] for entity in unseen["test"].triplets[:, [0, 2]].ravel().tolist()
    }
    assert f"next: lass-hf train --graph {tmp_path / 'out' / 'seen'}" in capsys.readouterr().out


@pytest.mark.parametrize("held", ["seen", "unseen"])
def test_neither_graph_of_unseen_entities_is_replaced_where_one_cannot_be(held, tmp_path, capsys):
    """Of another seed, the graph to train on would have triplets that the other one asks for."""
    options = ["--validation", 0, "--test", 0, "--inductive", "30%", "--output", tmp_path / "out", "--quiet"]
    assert run("split", "countries", *options) == 0
    (tmp_path / "out" / held / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    assert run("split", "countries", *options, "--seed", 1) == 2
    assert f"{tmp_path / 'out' / held}: it holds notes.txt, which would be lost" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_both_graphs_of_unseen_entities_know_their_source(tmp_path):
    table = tmp_path / "edges.csv"
    table.write_text("\n".join(["head,relation,tail", *(",".join(row) for row in TRAIN)]) + "\n")
    assert run("import", table, "--output", tmp_path / "whole", "--quiet") == 0
    options = ["--validation", 0, "--test", 0, "--inductive", "30%", "--quiet"]
    for source, output in ((table, "of_table"), (tmp_path / "whole", "of_folder")):
        assert run("split", source, *options, "--output", tmp_path / output) == 0
        for part in ("seen", "unseen"):
            record = read_source_record(tmp_path / output / part)
            assert (record.path, len(record.files)) == (str(table), 1)


def test_new_triplets_by_a_column_of_dates_are_held_out(tmp_path):
    table = tmp_path / "edges.csv"
    rows = [f"{head},{relation},{tail},{2000 + number}" for number, (head, relation, tail) in enumerate(TRAIN)]
    table.write_text("\n".join(["head,relation,tail,year", *rows]) + "\n")
    options = ["--date_column", "year", "--validation", 1, "--test", 2, "--output", tmp_path / "out"]
    assert run("split", table, *options) == 0
    assert lines(tmp_path / "out" / "test.tsv") == ["\t".join(row) for row in TRAIN[-2:]]
    assert lines(tmp_path / "out" / "dev.tsv") == ["\t".join(TRAIN[-3])]


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "edges.csv"
    file.write_text("\n".join(["head,relation,tail", *(",".join(row) for row in TRAIN)]) + "\n")
    return file


@pytest.mark.parametrize("command", [["split"], ["import"], ["split", "--inductive", "30%"]])
def test_a_split_of_another_graph_is_not_replaced(command, table, tmp_path, bad_input):
    out, other = tmp_path / "out", tmp_path / "other.csv"
    other.write_text(table.read_text().replace("cat", "lynx"))
    command = [*command, "--output", out, *SIZES, "--quiet"]
    assert run(*command, table) == 0
    before = contents(tmp_path)
    assert f"it has a split of {table}, and dev.tsv would be lost; name a new folder" in bad_input(*command, other)
    assert contents(tmp_path) == before
    other.write_bytes(table.read_bytes())  # a copy of the same source
    assert run(*command, other) == 0


@pytest.mark.parametrize("name", ["train.tsv", "dev.tsv", "entity2text.txt"])
def test_a_split_that_was_changed_by_hand_is_not_replaced(name, table, tmp_path, bad_input):
    command = ["split", table, "--output", tmp_path / "out", *SIZES, "--quiet"]
    for text in (table.read_text(), table.read_text() + "cow,eats,grass\n"):  # a new version of the source, too
        table.write_text(text)
        assert run(*command) == 0
    file = tmp_path / "out" / name
    file.write_text(file.read_text(encoding="utf-8").replace("cat", "lynx"), encoding="utf-8")
    os.utime(file, (time.time() + 60,) * 2)
    before = contents(tmp_path)
    assert f"{file}: changed since the folder was made, and would be lost; name a new folder" in bad_input(*command)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["countries"], "countries is no folder of text files: give --output DIR"),
        (["FOLDER", "--test", "0", "--validation", "0"], "--validation 0 and --test 0 hold nothing out"),
        (["FOLDER", "--inductive", "20%"], "--inductive makes two graphs: give --output DIR"),
        (["FOLDER", "--inductive", "2"], "'2' is not a share; expected such as 20%"),
        (["FOLDER", "--test", "5x"], "'5x' is not the size of a split; expected a share, such as 5%, or a number"),
        (["FOLDER", "--test", "20"], "21 triplets to hold out of 14; expected some to train on"),
        (["FOLDER", "--date_column", "year"], "date_column means nothing for a graph that is one already"),
        (["FOLDER/nowhere", "--output", "OUT"], "no such folder"),
        (["WHOLE"], "the graph has a validation split; expected one without, or a size of 0 for it"),
        (["FOLDER", "--output", "WHOLE"], "which would be lost; name a new folder"),
    ],
)
def test_what_cannot_be_split_is_one_line(options, expected, folder, graph_folder, tmp_path, bad_input):
    before = contents(tmp_path)
    names = {"FOLDER": str(folder), "WHOLE": str(graph_folder), "OUT": str(tmp_path / "out")}
    for name, path in names.items():
        options = [option.replace(name, path) for option in options]
    assert expected in bad_input("split", *options)
    assert contents(tmp_path) == before


def test_a_folder_in_the_folder_would_be_lost_and_is_named(folder, bad_input):
    (folder / "notes").mkdir()
    assert f"{folder}: it holds notes, which is no file; name another folder with --output" in bad_input(
        "split", folder
    )


def test_texts_of_ids_that_no_triplet_has_stay_as_they_are(tmp_path):
    folder = write_graph(tmp_path / "more", validation=None, test=None, entity_text=ENTITY_TEXT | {"new": "a new one"})
    assert run("split", folder, "--quiet") == 0
    assert "new\ta new one" in lines(folder / "entity2text.txt")


def test_an_import_splits_too(folder, tmp_path, capsys):
    out, file = tmp_path / "out", tmp_path / "import.json"
    assert run("import", folder, "--output", out, *SIZES, "--json", file) == 0
    assert f"  {len(TRAIN) - 4} train, 2 validation, 2 test" in capsys.readouterr().out
    assert content_of(file)["metrics"]["split"]["sizes"]["test"] == 2
    assert run("split", folder, *SIZES, "--output", tmp_path / "split") == 0
    assert triplets_in(out) == triplets_in(tmp_path / "split")
    assert sorted(lines(out / "test.tsv")) == sorted(lines(tmp_path / "split" / "test.tsv"))


def test_dates_are_read_to_split_by(folder, tmp_path, bad_input):
    line = bad_input("import", folder, "--output", tmp_path / "out", "--date_column", "year")
    assert line == "lass-hf: error: --date_column is to split by; give --validation or --test, too"

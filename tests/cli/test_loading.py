"""The graph of a command beside that of its model: what was held out while the model was trained is no fact."""

import shutil

import numpy as np
from helpers.command_line import run
from helpers.tiny import integer_graph

from lass_hf import KnowledgeGraph
from lass_hf.cli.loading import _count_trained, _divide

NAMES = [("0", "0", "1"), ("1", "0", "2"), ("2", "1", "0"), ("3", "1", "0"), ("3", "0", "4")]


def sets(graph):
    """Returns the triplets of each split by ids, with their labels."""
    ids, relations = graph.entities.ids, graph.relations.ids
    return {
        name: {
            (ids[h], relations[r], ids[t], 1 if split.labels is None else int(label))
            for (h, r, t), label in zip(
                split.triplets, np.ones(len(split)) if split.labels is None else split.labels, strict=True
            )
        }
        for name, split in graph.splits.items()
    }


def test_an_undivided_graph_is_divided_as_that_of_the_model_though_it_has_grown():
    own = integer_graph(NAMES[:3], 5, 2, validation=NAMES[3:4], test=NAMES[4:])
    grown = integer_graph([*NAMES[::-1], ("6", "2", "5")], 7, 3)
    found = sets(_divide(grown, own))
    assert found == {
        "train": {(*one, 1) for one in [*NAMES[:3], ("6", "2", "5")]},
        "validation": {(*NAMES[3], 1)},
        "test": {(*NAMES[4], 1)},
    }


def test_what_the_graph_still_has_of_the_held_out_triplets_is_held_out(capsys):
    added = ("1", "1", "4")  # accepted by people: the model's graph has it, and the file has not
    own = integer_graph(NAMES[:2], 5, 2, validation=[*NAMES[2:4], added], test=NAMES[4:])
    mended = integer_graph([*NAMES[:3], ("3", "1", "2"), NAMES[4]], 5, 2)
    assert sets(_divide(mended, own)) == {
        "train": {(*one, 1) for one in [*NAMES[:2], ("3", "1", "2")]},
        "validation": {(*NAMES[2], 1)},
        "test": {(*NAMES[4], 1)},
    }
    without = integer_graph(NAMES[:4], 5, 2)
    assert set(_divide(without, own).splits) == {"train", "validation"}  # no split without a true triplet
    assert capsys.readouterr().err == ""


def test_what_was_labeled_false_and_is_a_fact_now_is_not_held_out():
    wrong, accepted = ("0", "0", "3"), ("0", "0", "4")
    labels = np.array([1, 0, 0], dtype=np.int8)
    own = integer_graph([*NAMES[:3], NAMES[3], wrong, accepted], 5, 2)
    triplets = own["train"].triplets
    splits = {"train": (triplets[:3], None), "validation": (triplets[3:], labels)}
    own = KnowledgeGraph(own.entities, own.relations, splits)
    found = sets(_divide(integer_graph([*NAMES[:4], accepted], 5, 2), own))
    assert found["validation"] == {(*NAMES[3], 1), (*wrong, 0)}
    assert (*accepted, 1) in found["train"]


def test_a_graph_that_lacks_most_held_out_triplets_stays_as_it_is_with_a_warning(capsys):
    own = integer_graph(NAMES[:2], 5, 2, validation=NAMES[2:])
    graph = integer_graph(NAMES[:3], 5, 2)
    assert _divide(graph, own) is graph
    (line,) = capsys.readouterr().err.splitlines()
    assert "warning: --graph lacks 2 of the 3 triplets that were held out" in line
    assert "no probabilities" in line


def test_a_graph_with_a_split_of_its_own_gets_the_one_that_it_lacks():
    own = integer_graph(NAMES[:2], 5, 2, validation=NAMES[2:4], test=NAMES[4:])
    with_test = integer_graph(NAMES[:4], 5, 2, test=NAMES[4:])
    expected = sets(own)
    assert sets(_divide(with_test, own)) == expected
    with_validation = integer_graph([*NAMES[:2], NAMES[4]], 5, 2, validation=NAMES[2:4])
    assert sets(_divide(with_validation, own)) == expected


def test_a_split_of_its_own_stays_as_it_is(capsys):
    own = integer_graph(NAMES[:3], 5, 2, validation=NAMES[3:])
    graph = integer_graph(NAMES[:2], 5, 2, test=NAMES[2:])  # where the links are that the model's validation split has
    assert _divide(graph, own) is graph
    other = integer_graph(NAMES[:2], 5, 2, test=[("4", "1", "4")])
    assert _divide(other, own) is other
    assert _divide(own, integer_graph(NAMES, 5, 2)) is own
    assert capsys.readouterr().err == ""


# Facts to be tested on that the model was trained on


def test_triplets_that_the_model_was_trained_on_are_counted_in_the_other_splits():
    own = integer_graph(NAMES[:4], 5, 2, test=NAMES[4:])
    other = integer_graph(
        [("5", "1", "2"), *NAMES[3:]], 6, 3, validation=NAMES[:1], test=[*NAMES[1:3], ("5", "2", "0")]
    )
    assert _count_trained(other, own) == {"validation": (1, 1), "test": (2, 3)}
    assert _count_trained(own, own) == {}
    doubled = integer_graph(NAMES, 5, 2, test=NAMES[3:])  # The graph's own fault, of which `info` tells.
    assert _count_trained(doubled, doubled) == {}
    assert _count_trained(other, integer_graph([("7", "0", "8")], 9, 1)) == {}


def test_an_evaluation_on_trained_triplets_warns(model_folder, graph_folder, tmp_path, capsys):
    other = shutil.copytree(graph_folder, tmp_path / "other")
    (other / "test.tsv").write_bytes((graph_folder / "train.tsv").read_bytes())
    (other / "train.tsv").write_bytes((graph_folder / "test.tsv").read_bytes())
    count = len((graph_folder / "train.tsv").read_text().splitlines())
    assert run("evaluate", "--model", model_folder, "--graph", other, "--quiet", "--json", tmp_path / "x.json") == 0
    told = f"the model was trained on {count} of the {count} test triplets"
    assert told in capsys.readouterr().err
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--json", tmp_path / "y.json") == 0
    assert "was trained on" not in capsys.readouterr().err

"""What is odd about triplets and splits: each fault alone, none in a clean graph, counts against plain loops."""

import networkx
import numpy as np
import pytest
from helpers.clean_graph import NAMES, parts, with_rows
from helpers.properties import for_all
from helpers.tiny import integer_graph
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.quality.faults import find_faults

A, B, C, D, E, F, G = NAMES[:7]


def found(graph):
    return {one.kind: (one.severity, one.count) for one in find_faults(graph)}


def example(graph, kind):
    return {one.kind: one.example for one in find_faults(graph)}[kind]


def labeled(rows, label):
    return [(*row, label) for row in rows]


def test_a_clean_graph_has_no_finding(request):
    @for_all(
        request,
        20,
        names=st.lists(st.text("abcdefghijklmnopqrstuvwxyzéß猫", min_size=3), min_size=11, max_size=31, unique=True),
    )
    def check(names):
        names = names[: len(names) // 2 * 2 - 1] if len(names) > 11 else names
        assert find_faults(KnowledgeGraph.from_triplets(**parts(names))) == []
        return True


@pytest.mark.parametrize(
    ("split", "rows", "expected"),
    [
        ("train", [(A, "near", B)], {"duplicates": ("doubtful", 1)}),
        ("train", [(A, "near", A)], {"self_loops": ("doubtful", 1)}),
        ("test", [(A, "near", B), (B, "near", C)], {"positives_in_train": ("wrong", 2)}),
        ("validation", [(A, "near", B)], {"positives_in_train": ("wrong", 1)}),
        ("test", [(A, "above", F)], {"positives_in_validation": ("doubtful", 1)}),
        ("test", [(B, "near", A)], {"pairs_in_train": ("doubtful", 1)}),
        ("test", [(A, "above", B)], {"pairs_in_train": ("doubtful", 1)}),
        ("validation", [(A, "above", B), (B, "near", A)], {}),  # Nothing is measured there.
    ],
)
def test_one_fault_in_a_split_is_one_finding(split, rows, expected):
    assert found(with_rows(split, *rows)) == expected


def test_entities_and_relations_that_train_does_not_have():
    graph = with_rows("test", ("new", "near", A), texts={"new": "new, a thing that is not in train"})
    assert found(graph) == {"entities_unseen_in_train": ("fact", 1)}
    rows = [(A, "under", G), (B, "under", G)]
    assert found(with_rows("test", *rows, relations={"under": "lies under"})) == {
        "relations_unseen_in_train": ("doubtful", 1)
    }


def test_entities_in_no_triplet_and_on_an_island():
    texts = {"x": "xenon, a gas", "y": "yttrium, a metal", "z": "zinc, another metal"}
    graph = with_rows("train", ("x", "near", "y"), ("y", "near", "x"), texts=texts)
    assert found(graph) == {"entities_in_no_triplet": ("fact", 1), "entities_on_islands": ("fact", 2)}
    assert "2 parts" in next(one.meaning for one in find_faults(graph) if one.kind == "entities_on_islands")


def test_labels_that_contradict_each_other():
    clean = parts()
    rows = clean["test"]
    clean["test"] = labeled(rows, 1) + labeled([(A, "above", B), rows[0]], -1) + labeled(clean["train"][:3], 0)
    graph = KnowledgeGraph.from_triplets(**clean)
    assert found(graph) == {"contradictory_labels": ("wrong", 1), "negatives_true_elsewhere": ("wrong", 3)}
    assert example(graph, "contradictory_labels").startswith("emerald, something that is called so (emerald) -- ")


def test_negatives_that_repeat_are_duplicates():
    clean = parts()
    clean["test"] = labeled(clean["test"], 1) + labeled([(A, "above", B)] * 3, -1)
    assert found(KnowledgeGraph.from_triplets(**clean)) == {"duplicates": ("doubtful", 2)}


def test_a_header_between_the_triplets_is_found_unless_its_names_are_those_of_things():
    texts = {"Subject": "subject", "Object": "object"}
    header = ("Subject", "predicate", "Object")
    graph = with_rows("train", header, header, texts=texts, relations={"predicate": "predicate"})
    assert found(graph)["headers"] == ("wrong", 2)
    assert example(graph, "headers") == "subject (Subject) -- predicate --> object (Object)"
    graph = with_rows("train", header, ("Subject", "near", A), texts=texts, relations={"predicate": "predicate"})
    assert "headers" not in found(graph)


def test_twins_are_those_of_symmetric_inverse_and_repeated_relations():
    """Three relations of 12 triplets each, of which one is held out."""
    names = [f"thing {number}" for number in range(24)]
    pairs = [(names[number], names[number + 12]) for number in range(12)]
    rows = [(h, "sibling", t) for h, t in pairs] + [(t, "sibling", h) for h, t in pairs]
    rows += [(h, "parent", t) for h, t in pairs] + [(t, "child", h) for h, t in pairs]
    rows += [(h, "parent too", t) for h, t in pairs]
    for held_out, others in {
        ("sibling", False): ("sibling", True),
        ("child", True): ("parent", False),
        ("parent too", False): ("parent", False),
    }.items():
        (relation, is_turned), (other, other_is_turned) = held_out, others
        test = (*(pairs[0][::-1] if is_turned else pairs[0]), relation)
        twin = (*(pairs[0][::-1] if other_is_turned else pairs[0]), other)
        test, twin = ((h, r, t) for h, t, r in (test, twin))
        graph = KnowledgeGraph.from_triplets([row for row in rows if row != test], test=[test])
        assert found(graph)["twins_in_train"] == ("doubtful", 1)
        assert "pairs_in_train" not in found(graph)  # a twin counts once
        without = [row for row in rows if row[1] == relation and row not in (test, twin)]
        assert "twins_in_train" not in found(KnowledgeGraph.from_triplets(without, test=[test]))


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    train, test = (
        np.stack([rng.integers(0, 60, n), rng.integers(0, 2, n), rng.integers(0, 60, n)], 1) for n in (70, 20)
    )
    graph = integer_graph(train, 60, 2, test=[*test, *train[:2], *train[:3, ::-1] * [1, 0, 1]])
    ids = (
        [tuple(row) for row in graph["train"].triplets.tolist()],
        [tuple(row) for row in graph["test"].triplets.tolist()],
    )
    in_train, linked = set(ids[0]), {frozenset((h, t)) for h, _, t in ids[0]}
    counts = {kind: count for kind, (_, count) in found(graph).items()}
    assert counts["positives_in_train"] == sum(row in in_train for row in ids[1])
    assert counts["pairs_in_train"] == sum(row not in in_train and {row[0], row[2]} in linked for row in ids[1])
    assert counts.get("self_loops", 0) == sum(h == t for h, _, t in ids[0] + ids[1])
    assert counts.get("duplicates", 0) == sum(len(rows) - len(set(rows)) for rows in ids)
    seen = {entity for h, _, t in ids[0] for entity in (h, t)}
    unseen = {entity for h, _, t in ids[1] for entity in (h, t)} - seen
    assert counts.get("entities_unseen_in_train", 0) == len(unseen)
    components = list(networkx.connected_components(networkx.Graph((h, t) for h, _, t in ids[0] + ids[1])))
    sizes = sorted(map(len, components))
    assert counts.get("entities_on_islands", 0) == sum(sizes[:-1])


def test_a_long_chain_is_one_part():
    rows = [(f"thing {number}", "before", f"thing {number * 7 % 503}") for number in range(503)]
    chain = [(f"thing {number}", "before", f"thing {number + 1}") for number in range(502)]
    assert "entities_on_islands" not in found(KnowledgeGraph.from_triplets(chain[::-1]))
    kinds = found(KnowledgeGraph.from_triplets(rows))
    graph = networkx.Graph((h, t) for h, _, t in rows)
    largest = max(map(len, networkx.connected_components(graph)))
    assert kinds["entities_on_islands"] == ("fact", 503 - largest)


def test_a_graph_without_train_or_without_a_true_triplet_is_no_error():
    assert "positives_in_train" not in found(KnowledgeGraph.from_triplets(test=[(A, "near", B)]))
    assert found(KnowledgeGraph.from_triplets(test=[(A, "near", B, 0)])).keys() == {"entities_without_a_text"}
    graph = with_rows("test")
    assert found(KnowledgeGraph(graph.entities, graph.relations, {})) == {
        "entities_in_no_triplet": ("fact", len(NAMES))
    }

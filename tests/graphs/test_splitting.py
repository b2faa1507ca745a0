"""Splits of a graph: nothing lost, nothing across the border, every entity and relation trained on, fair shares."""

import re
from collections import Counter

import numpy as np
import pytest
from helpers.tiny import TRAIN, integer_graph, make_graph
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lass_hf import GraphError, KnowledgeGraph
from lass_hf.graphs.splitting import parse_size, split_graph

NEW = ("validation", "test")
REFUSED = "to hold out of|no triplet can be held out|none is left to train on"
triplets = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9)), min_size=4, max_size=60)
sizes = st.sampled_from([0, 1, 3, 0.1, 0.25])


def random_graph(count=2000, entities=300, relations=6, seed=0):
    random = np.random.default_rng(seed)
    heads, tails = random.integers(0, entities, (2, count))
    drawn = random.geometric(0.5, count).clip(max=relations) - 1  # a few large relations, and small ones
    rows = np.stack([heads, drawn, tails], axis=1)
    rows = np.concatenate([rows, rows[: count // 4][:, ::-1]])  # mirror images
    return integer_graph(rows.tolist(), entities, relations)


def rows(graph, split):
    """The triplets of a split in names."""
    ids, relations = graph.entities.ids, graph.relations.ids
    return [(ids[h], relations[r], ids[t]) for h, r, t in graph[split].triplets.tolist()] if split in graph else []


def pairs(graph, split):
    return {frozenset((head, tail)) for head, _, tail in rows(graph, split)}


@given(triplets=triplets, validation=sizes, test=sizes, seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_or_doubled_or_across_the_border_or_untrained(triplets, validation, test, seed):
    graph = integer_graph(triplets, 10, 3)
    try:
        split, report = split_graph(graph, validation, test, seed=seed)
    except GraphError as error:
        if not re.search(REFUSED, str(error)):
            raise
        return
    parts = {name: rows(split, name) for name in ("train", *NEW)}
    every = [row for part in parts.values() for row in part]
    assert Counter(every) == Counter(rows(graph, "train"))
    remaining = iter(rows(graph, "train"))
    assert all(row in remaining for row in parts["train"])  # the order stays
    of_parts = [pairs(split, name) for name in parts]
    assert len(set().union(*of_parts)) == sum(map(len, of_parts))
    for slots in ((0, 2), (1,)):
        assert {row[slot] for row in parts["train"] for slot in slots} == {row[slot] for row in every for slot in slots}
    assert report.unseen_entities == report.unseen_relations == 0
    assert report.sizes == {name: len(part) for name, part in parts.items() if part}
    assert [bool(parts[name]) for name in NEW] == [size > 0 for size in (validation, test)]


def test_each_relation_has_its_share_of_each_split():
    graph = random_graph()
    split, report = split_graph(graph, 0.1, 0.2)
    total = len(graph["train"])
    assert abs(report.sizes["test"] - 0.2 * total) <= 1
    assert abs(report.sizes["validation"] - 0.1 * total) <= 2
    counts = np.bincount(graph["train"].triplets[:, 1])
    for name, share in (("test", 0.2), ("validation", 0.1)):
        found = np.bincount(split[name].triplets[:, 1], minlength=len(counts))
        assert np.abs(found - share * counts).max() < 9  # 2,500 triplets, of which chance would move 20


def test_a_seed_gives_one_split_whatever_the_order_of_the_triplets():
    graph = random_graph()
    rows_of = [rows(split_graph(graph, 0.1, 0.1, seed=seed)[0], "test") for seed in (1, 1, 2)]
    assert rows_of[0] == rows_of[1]
    assert set(rows_of[0]) != set(rows_of[2])
    names = rows(graph, "train")
    shuffled = KnowledgeGraph.from_triplets([names[i] for i in np.random.default_rng(5).permutation(len(names))])
    assert shuffled.entities.ids != graph.entities.ids
    assert sorted(rows(split_graph(shuffled, 0.1, 0.1, seed=1)[0], "test")) == sorted(rows_of[0])


def test_the_test_split_does_not_depend_on_the_size_of_validation():
    graph = random_graph()
    assert rows(split_graph(graph, 0, 0.1)[0], "test") == rows(split_graph(graph, 0.2, 0.1)[0], "test")


def test_labels_stay_with_their_triplets_and_false_ones_train_no_entity():
    random = np.random.default_rng(1)
    labeled = [(f"e{h}", "r", f"e{t}", label) for h, t, label in random.integers(0, [20, 20, 2], (150, 3)).tolist()]
    labeled += [("only", "r", "e1", 1), ("only", "r", "e2", 0)]
    graph = KnowledgeGraph.from_triplets(labeled)
    split, _ = split_graph(graph, 0.2, 0.2)
    label_of = Counter(
        (*row, label)
        for name, part in split.splits.items()
        for row, label in zip(rows(split, name), part.labels.tolist(), strict=True)
    )
    assert label_of == Counter(labeled)
    true = split["train"].positives[:, [0, 2]]
    assert {graph.entities.index[name] for name, _, _, label in labeled if label == 1} <= set(true.ravel().tolist())


def test_the_report_says_what_was_found_and_why_a_split_is_small():
    star = [(f"leaf {n}", "of", "root") for n in range(40)]
    both = [row for n in range(0, 20, 2) for row in ((f"p{n}", "near", f"p{n + 1}"), (f"p{n + 1}", "near", f"p{n}"))]
    both += [row for n in range(12) for row in ((f"p{n}", "near", f"p{n + 4}"), (f"p{n + 4}", "near", f"p{n}"))]
    graph = KnowledgeGraph.from_triplets(star + both)
    _, report = split_graph(graph, 0, 0.5)
    lines = " / ".join(report.describe(graph.relations))
    assert "near: symmetric (100% of 44 triplets are there in both directions)" in lines
    assert f"test has {report.sizes['test']} triplets, not 42: " in lines
    assert "44 triplets share their two entities with others" in lines
    assert report.to_dict(graph.relations)["mirrors"][0]["relation"] == "near"


DATED = [(f"e{n % 7}", "r", f"e{(n * 3 + 1) % 11}") for n in range(40)]


@given(years=st.lists(st.integers(1990, 1999), min_size=40, max_size=40), test=sizes, validation=sizes)
@settings(max_examples=40, deadline=None)
def test_by_date_no_training_pair_is_newer_than_one_that_is_held_out(years, test, validation):
    assume(test or validation)
    graph = KnowledgeGraph.from_triplets(DATED)
    oldest = {}
    for (head, _, tail), year in zip(DATED, years, strict=True):
        oldest[frozenset((head, tail))] = min(year, oldest.get(frozenset((head, tail)), year))
    try:
        split, _ = split_graph(graph, validation, test, dates=years)
    except GraphError as error:
        if not re.search(REFUSED, str(error)):
            raise
        return
    found = [{oldest[pair] for pair in pairs(split, name)} for name in ("train", *NEW)]
    for older, newer in ((0, 1), (1, 2), (0, 2)):
        assert not found[older] or not found[newer] or max(found[older]) < min(found[newer])
    assert Counter(row for name in split.splits for row in rows(split, name)) == Counter(DATED)


def test_triplets_without_a_date_stay_in_training_and_are_counted():
    graph = make_graph()
    graph = KnowledgeGraph(graph.entities, graph.relations, {"train": (graph["train"].triplets, None)})
    dates = ["2024-05", None, "2023", " ", *["2020-01-01T10:00:00+02:00"] * 10]
    split, report = split_graph(graph, 1, 1, dates=dates)
    assert rows(split, "test") == [TRAIN[0]]
    assert rows(split, "validation") == [TRAIN[2]]
    assert report.undated == 2
    assert "2 triplets have no date, and stay in training" in report.describe(graph.relations)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"test": 1.5}, "test=1.5; expected a share"),
        ({"test": -1}, "test=-1; expected a share"),
        ({"test": 14}, "15 triplets to hold out of 14"),
        ({"test": "5%"}, "test='5%'; expected a share of 0 or more and below 1"),
        ({"validation": np.float32(0.1)}, "validation=np.float32(0.1); expected a share"),
        ({"dates": ["2024"]}, "1 dates for 14 triplets"),
        ({"dates": ["2024"] * 13 + ["May"]}, "triplet 13: the date is 'May'; expected a number, or a date as in 2024"),
        ({"dates": ["2024-13-01"] * 14}, "2024-13-01"),
        ({"dates": [2024] * 14}, "none is left to train on; split without dates"),
        ({"dates": [None] * 14}, "no triplet can be held out for validation"),
    ],
)
def test_what_cannot_be_split_is_refused(choices, message):
    graph = KnowledgeGraph.from_triplets(TRAIN)
    with pytest.raises(GraphError, match=re.escape(message)):
        split_graph(graph, **{"validation": 1, "test": 1, **choices})


def test_a_graph_that_has_the_split_is_refused_and_another_split_of_it_stays():
    graph = make_graph()
    with pytest.raises(GraphError, match="the graph has a test split"):
        split_graph(graph, 0, 1)
    splits = {name: (graph[name].triplets, None) for name in ("train", "test")}
    graph = KnowledgeGraph(graph.entities, graph.relations, splits)
    split, report = split_graph(graph, 2, 0)
    assert rows(split, "test") == rows(graph, "test")
    assert report.asked == {"validation": 2}


@pytest.mark.parametrize(("text", "size"), [("5%", 0.05), ("0.25", 0.25), ("500", 500), ("0", 0), ("0%", 0), ("1", 1)])
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size
    assert isinstance(parse_size(text), type(size)) or size == 0


@pytest.mark.parametrize("text", ["", "5 percent", "100%", "1.5", "-3", "nan", "nan%", "1e3"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(GraphError, match="is not the size of a split"):
        parse_size(text)

"""Decisions of people: read for a graph, and brought back into its training triplets."""

import json
import os
import shutil

import numpy as np
import pytest
from helpers.judged import write_decisions
from helpers.reviews import write_list
from helpers.tiny import TEST, TRAIN, VALIDATION, make_graph, one_line

from lass_hf import KnowledgeGraph
from lass_hf.cli.commands import main
from lass_hf.core.errors import GraphError, LassError
from lass_hf.graphs.decisions import graph_with_decisions, read_decisions
from lass_hf.review.reviewing import Review
from lass_hf.writers.file_formats import sidecar_of

ACCEPTED, REJECTED, UNSURE = ("rodent", "lives_in", "garden"), ("food", "eats", "cat"), ("milk", "is_a", "animal")
FACT = TRAIN[3]


def in_ids(graph, triplets):
    entities, relations = graph.entities.ids, graph.relations.ids
    return [(entities[h], relations[r], entities[t]) for h, r, t in triplets.tolist()]


def decided(folder, *rows, graph=None):
    return graph_with_decisions(read_decisions(write_decisions(folder, *rows), graph or make_graph()))


@pytest.mark.parametrize("name", ["decisions.tsv", "decisions.csv", "decisions.jsonl", "decisions.parquet"])
def test_a_file_is_read_into_triplets_and_labels(name, tmp_path, graph):
    rows = [(REJECTED, False), (UNSURE, None), (ACCEPTED, True), (REJECTED, False), (ACCEPTED, None)]
    found = read_decisions(write_decisions(tmp_path, *rows, name=name), graph)
    assert in_ids(graph, found.triplets) == [REJECTED, ACCEPTED]
    assert (found.labels.tolist(), found.rows.tolist(), len(found)) == ([0, 1], [[0, 0], [0, 2]], 2)
    told = found.describe()
    assert len(told.pop("fingerprint")) == 32
    assert told == {"file": name, "accepted": 1, "rejected": 1, "unsure": 1}
    assert found.rejected.contains(found.triplets).tolist() == [True, False]


def test_a_file_that_a_killed_review_left_behind_is_refused_until_it_is_written_anew(tmp_path, graph):
    folder = tmp_path / "a list"
    folder.mkdir()
    review = Review(write_list(folder))
    review.decide(0, "accept", "Ada")
    file = review.write_decided()
    os.utime(folder / "decisions.jsonl", (2**32, 2**32))  # as a copy of the folder may have it
    assert len(read_decisions(file, graph)) == 1
    sidecar = sidecar_of(file)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"date": "2026-01-01T00:00:00+00:00"}))
    review.decide(2, "reject", "Ada")  # and the server is killed
    with pytest.raises(GraphError) as error:
        read_decisions(file, graph)
    one_line(error, f"{file}: lacks later decisions of decisions.jsonl beside it; write it anew with lass-hf review")
    assert str(error.value).endswith(f" review '{folder}' --export FILE")
    alone = shutil.copy(file, tmp_path / "decisions.tsv")
    assert len(read_decisions(alone, graph)) == 1
    assert main(["review", str(folder), "--export", str(tmp_path / "accepted.tsv"), "--quiet"]) == 0
    assert len(read_decisions(file, graph)) == 2


@pytest.mark.parametrize("line", ["", "{", "[]", '{"time": 1}', '{"time": "soon"}', '{"time": "2099-01-01"}'])
def test_a_log_that_tells_no_time_leaves_the_file_as_it_is(line, tmp_path, graph):
    (tmp_path / "decisions.jsonl").write_text(f"{line}\n")
    assert len(read_decisions(write_decisions(tmp_path, (ACCEPTED, True)), graph)) == 1


def test_several_files_are_one_set_of_decisions(tmp_path, graph):
    one = write_decisions(tmp_path, (ACCEPTED, True), (UNSURE, None), name="links.tsv")
    other = write_decisions(tmp_path, (REJECTED, False), (ACCEPTED, True), (UNSURE, True), name="facts.csv")
    found = read_decisions([one, str(other)], graph)
    assert in_ids(graph, found.triplets) == [ACCEPTED, REJECTED, UNSURE]
    assert (found.rows.tolist(), found.num_unsure) == ([[0, 0], [1, 0], [1, 2]], 0)
    assert found.in_words() == f"{one}, {other}: 2 accepted, 1 rejected, 0 unsure"
    assert found.describe()["file"] == "links.tsv, facts.csv"
    assert found.describe()["fingerprint"] != read_decisions([other, one], graph).describe()["fingerprint"]
    third = write_decisions(tmp_path, (FACT, True), (ACCEPTED, False), name="third.tsv")
    with pytest.raises(GraphError) as error:
        read_decisions([one, third], graph)
    one_line(error, f"{third}, line 3: rejects ('rodent', 'lives_in', 'garden'), which {one}, line 2 accepts; keep")


def test_a_name_of_two_entities_is_told_in_a_sentence(tmp_path):
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "lime", "b": "lime"})
    file = write_decisions(tmp_path, (("a", "r", "lime"), True))
    with pytest.raises(GraphError, match="line 2: tail: 2 entities have the text 'lime'"):
        read_decisions(file, graph)


def test_files_that_hold_no_decisions_are_told_as_graph_files_are(tmp_path, graph):
    missing, empty, log = tmp_path / "none.tsv", tmp_path / "empty.tsv", tmp_path / "decisions.jsonl"
    empty.touch()
    log.write_text('{"head": "cat", "relation": "eats", "tail": "milk", "decision": "accept", "reviewer": "Ada"}\n')
    for file, said in (
        (missing, "no such file"),
        (empty, "the file is empty"),
        (log, f"each decision of a review; expected what they come to: {tmp_path / 'decisions.tsv'}, or an --export"),
    ):
        with pytest.raises(LassError) as error:
            read_decisions(file, graph)
        assert str(error.value) == f"{file}: {said}"


def test_accepted_triplets_join_train_and_rejected_ones_are_false_there(tmp_path, graph):
    result = decided(tmp_path, (ACCEPTED, True), (UNSURE, None), (REJECTED, False))
    train = result["train"]
    assert in_ids(graph, train.triplets) == [*TRAIN, ACCEPTED, REJECTED]
    assert train.labels.tolist() == [1] * (len(TRAIN) + 1) + [0]
    assert train.labels.dtype == np.int8
    assert len(result.known_in_train) == len(TRAIN) + 1
    for name in ("validation", "test"):
        assert np.array_equal(result[name].triplets, graph[name].triplets)


def test_a_rejected_fact_becomes_a_false_triplet(tmp_path, graph):
    train = decided(tmp_path, (FACT, False))["train"]
    assert in_ids(graph, train.positives) == [row for row in TRAIN if row != FACT]
    assert in_ids(graph, train.triplets[train.labels == 0]) == [FACT]


def test_a_decision_that_agrees_with_what_is_held_out_changes_nothing(tmp_path, graph):
    result = decided(tmp_path, (VALIDATION[1], True), (TEST[0], True), (ACCEPTED, True))
    assert in_ids(graph, result["train"].triplets) == [*TRAIN, ACCEPTED]
    for name in ("validation", "test"):
        assert np.array_equal(result[name].triplets, graph[name].triplets)


def test_what_a_held_out_split_labels_false_may_be_rejected_only(tmp_path):
    rows = {"train": TRAIN, "test": [(*row, "1") for row in TEST] + [(*REJECTED, "0")]}
    graph = KnowledgeGraph.from_triplets(**rows)
    assert len(decided(tmp_path, (REJECTED, False), graph=graph)["train"]) == len(TRAIN)
    with pytest.raises(GraphError) as error:
        decided(tmp_path, (TEST[0], True), (REJECTED, True), graph=graph)
    one_line(error, "line 3: accepts ('food', 'eats', 'cat'), which is false in the graph's test split")


def test_what_train_holds_already_stays_as_it_is(tmp_path, graph):
    train = decided(tmp_path, (FACT, True))["train"]
    assert np.array_equal(train.triplets, graph["train"].triplets)
    assert train.labels is None


def test_decisions_replace_labels_and_duplicates_of_train(tmp_path):
    rows = [(*FACT, "1"), (*ACCEPTED, "0"), (*FACT, "1"), (*REJECTED, "0"), *((*row, "1") for row in TRAIN[:3])]
    graph = KnowledgeGraph.from_triplets(rows)
    train = decided(tmp_path, (ACCEPTED, True), (FACT, False), graph=graph)["train"]
    expected = [(REJECTED, 0), *((row, 1) for row in TRAIN[:3]), (ACCEPTED, 1), (FACT, 0)]
    assert list(zip(in_ids(graph, train.triplets), train.labels.tolist(), strict=True)) == expected


def test_decisions_that_were_brought_back_change_nothing_more(tmp_path, graph):
    rows = (ACCEPTED, True), (REJECTED, False), (FACT, False)
    once = decided(tmp_path, *rows)
    twice = decided(tmp_path, *rows, graph=once)
    order = [np.lexsort([*one["train"].triplets.T]) for one in (once, twice)]
    for get in (lambda one: one["train"].triplets, lambda one: one["train"].labels):
        assert np.array_equal(get(once)[order[0]], get(twice)[order[1]])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(ACCEPTED, True), (("catt", "eats", "milk"), False)], ["line 3: head: 'catt' is not", "did you mean 'cat'?"]),
        (
            [(ACCEPTED, True), (("cat", "flies", "milk"), None)],
            ["line 3: relation: 'flies' is not", "the graph's 3 relations"],
        ),
        (
            [(UNSURE, None), (ACCEPTED, True), (REJECTED, False), (ACCEPTED, False)],
            ["line 5: rejects ('rodent', 'lives_in', 'garden'), which line 3 accepts; keep one of the two"],
        ),
        (
            [(VALIDATION[0], True), (TEST[1], False), (VALIDATION[1], False), (REJECTED, False)],
            ["line 3: rejects ('cat', 'eats', 'milk')", "true in the graph's test split", "the first of 2", "take"],
        ),
        ([(UNSURE, None)], ["no decision, 1 unsure; expected a label of true or false"]),
    ],
)
def test_what_does_not_fit_is_an_error_with_file_and_line(rows, said, tmp_path):
    with pytest.raises(LassError) as error:
        decided(tmp_path, *rows)
    one_line(error, str(tmp_path / "decisions.tsv"), *said)


@pytest.mark.parametrize(("name", "place"), [("a.csv", "line 4"), ("a.jsonl", "line 3"), ("a.parquet", "row 2")])
def test_the_place_is_that_of_an_editor(name, place, tmp_path, graph):
    file = write_decisions(tmp_path, (ACCEPTED, True), (("cat", "eats", "ham"), True), name=name)
    if name != "a.parquet":
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join([*lines[:-1], "\n", lines[-1]]))  # Somebody left a line empty.
    with pytest.raises(GraphError) as error:
        read_decisions(file, graph)
    one_line(error, f"{file}, {place}: tail: 'ham'")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.tsv", "tail\tlabel\thead\trelation\ngarden\tTrue\trodent\tlives_in\ncat\tfalse\tfood\teats\n"),
        (
            "mine.csv",
            "head,relation,tail,label,note\nrodent,lives_in,garden,1,yes\nfood,eats,cat,0,\nmilk,is_a,animal,,\n",
        ),
        (
            "mine.jsonl",
            '{"head": "rodent", "relation": "lives_in", "tail": "garden", "label": true}\n'
            '{"head": "food", "relation": "eats", "tail": "cat", "label": false}\n',
        ),
    ],
)
def test_four_columns_made_by_hand_are_enough(name, text, tmp_path, graph):
    (tmp_path / name).write_text(text)
    found = read_decisions(tmp_path / name, graph)
    assert in_ids(graph, found.triplets) == [ACCEPTED, REJECTED]
    assert found.labels.tolist() == [1, 0]


def test_names_may_be_texts(tmp_path, graph):
    texts = [graph.entities.texts[graph.entities.index["cat"]], graph.entities.texts[graph.entities.index["garden"]]]
    relation = graph.relations.texts[graph.relations.index["lives_in"]]
    (tmp_path / "mine.tsv").write_text(f"head\trelation\ttail\tlabel\n{texts[0]}\t{relation}\t{texts[1]}\ttrue\n")
    assert in_ids(graph, read_decisions(tmp_path / "mine.tsv", graph).triplets) == [("cat", "lives_in", "garden")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "mine.tsv",
            "head\trelation\ttail\tdecision\ncat\teats\tmilk\taccept\n",
            [": no column 'label' among 'head', 'relation', 'tail', 'decision'; expected head", "such as head cat"],
        ),
        ("mine.tsv", "head|relation|tail|label\ncat|eats|milk|true\n", [": no column 'head' among 'head|relation"]),
        ("mine.jsonl", '{"head": "cat", "label": true}\n', [": no column 'relation' among 'head', 'label'"]),
        (
            "mine.tsv",
            "head\trelation\ttail\tlabel\ncat\teats\tmilk\ttrue\n\ncat\teats\tfood\taccept\n",
            [", line 4: label 'accept'; expected true, false or nothing"],
        ),
        (
            "mine.jsonl",
            '{"head": "cat", "relation": "eats", "tail": "milk", "label": "accept"}\n',
            [", line 1: label 'accept'; expected true, false or nothing"],
        ),
        ("mine.csv", "head,relation,tail,label\ncat,,milk,true\n", [", line 2: relation ''; expected an id"]),
    ],
)
def test_what_is_wrong_in_a_file_made_by_hand_has_its_place(name, text, said, tmp_path, graph):
    (tmp_path / name).write_text(text)
    with pytest.raises(LassError) as error:
        read_decisions(tmp_path / name, graph)
    one_line(error, f"{tmp_path / name}{said[0]}", *said[1:])


def test_a_graph_without_training_triplets_takes_no_decisions(tmp_path, graph):
    empty = KnowledgeGraph(graph.entities, graph.relations, {})
    with pytest.raises(GraphError, match="no split 'train'"):
        decided(tmp_path, (ACCEPTED, True), graph=empty)

"""The review of a folder: the list and its filters, the table of decisions, the export, known facts."""

import itertools

import pytest
from helpers.reviews import COLUMNS, TRIPLETS, decision, write_list
from helpers.tiny import one_line

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import LassError
from lass_hf.review.decisions import Decision, DecisionsFile
from lass_hf.review.known_facts import Fact, KnownFacts
from lass_hf.review.review_list import Choice, ReviewList
from lass_hf.review.reviewing import Review
from lass_hf.writers.source_ids import SourceIds
from lass_hf.writers.tables import read_judged_triplets


@pytest.fixture
def folder(tmp_path):
    return write_list(tmp_path)


# The list


@pytest.mark.parametrize("relation", [None, "eats", "absent"])
@pytest.mark.parametrize("kind", [None, "new", ""])
def test_filters_against_a_plain_loop(relation, kind, folder):
    listed = ReviewList(folder)
    chances = [(None, None), (0.6, None), (0.7, None), (None, 0.7), (0.3, 0.7)]
    for (least, most), text in itertools.product(chances, ["", "CAFE  au", "animal", "fish", "zzz"]):
        expected = [
            (relation is None or COLUMNS["relation"][row] == relation)
            and (kind is None or COLUMNS["kind"][row] == kind)
            and (least is None or (COLUMNS["probability"][row] or 0) >= least)
            and (most is None or (COLUMNS["probability"][row] or 2) <= most)
            and any(
                " ".join(text.lower().split()) in COLUMNS[name][row].lower().replace("é", "e")
                for name in ("head", "relation", "tail", "head_text", "relation_text", "tail_text")
            )
            for row in range(4)
        ]
        assert listed.select(Choice(relation, kind, least, most, text)).tolist() == expected
    assert listed.counts("relation") == [("eats", 2), ("is_a", 2)]
    assert listed.counts("kind") == [("new", 2), ("conflict", 1), ("", 1)]


def test_a_folder_without_a_list_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(LassError) as error:
            ReviewList(folder)
        one_line(error, f"{folder}: holds no suggestions.tsv and no findings.tsv", "lass-hf complete or lass-hf audit")
    write_list(write_list(tmp_path), "findings.tsv")
    with pytest.raises(LassError) as error:
        ReviewList(tmp_path)
    one_line(error, "holds both lists")


def test_an_empty_list_and_a_triplet_that_is_twice_in_it_are_refused(tmp_path):
    write_list(tmp_path, "findings.tsv", **{name: [] for name in COLUMNS})
    with pytest.raises(LassError) as error:
        ReviewList(tmp_path)
    one_line(error, "findings.tsv: it has no triplet, so there is nothing to review")
    twice = {name: [*values[:3], values[0]] for name, values in COLUMNS.items()}
    write_list(tmp_path, "findings.tsv", **twice)
    with pytest.raises(LassError) as error:
        ReviewList(tmp_path)
    one_line(error, "findings.tsv: row 4 has the triplet of row 1 again")


# Decisions


def test_the_table_of_decisions_has_labels_and_names(folder):
    review, other = Review(folder), Review(folder)  # as two processes have them
    review.decide(0, "accept", " Ada  L ")
    other.decide(0, "accept", "Bob")
    other.decide(1, "reject", "Bob")
    review.decide(2, "unsure", "Ada L")
    assert review.write_decided() == folder / "decisions.tsv"
    rows, metadata = read_judged_triplets(folder / "decisions.tsv")
    assert rows["label"].to_pylist() == [True, False, None]
    assert rows["reviewer"].to_pylist() == ["Ada L, Bob", "Bob", "Ada L"]
    assert rows["kind"].to_pylist() == ["new", "conflict", "new"]
    assert list(zip(*(rows[name].to_pylist() for name in ("head", "relation", "tail")), strict=True)) == TRIPLETS[:3]
    assert (metadata.model, metadata.settings) == ("runs/m", {"seed": 1, "reviewed": "suggestions.tsv"})
    assert review.progress("Bob") == {
        **{"total": 4, "open": 1, "accepted": 1, "rejected": 1, "unsure": 1, "contradiction": 0, "mine": 2}
    }


def test_a_contradiction_is_unsure_until_somebody_settles_it(folder):
    review = Review(folder)
    review.decide(0, "accept", "Bob")
    review.decide(0, "reject", "Ada")
    (row,) = review.decided().to_pylist()
    assert (row["label"], row["reviewer"]) == (None, "Ada, Bob")
    assert row["reasons"] == [
        "reviewers contradict each other: Ada says reject, Bob says accept",
        "other small animals eat it",
    ]
    review.decide(0, "unsure", "Cy", settles=True)  # leaves it to the others
    (row,) = review.decided().to_pylist()
    assert (row["label"], row["reviewer"]) == (None, "Ada, Bob, Cy")
    assert row["reasons"][0] == "reviewers contradict each other: Ada says reject, Bob says accept, Cy says unsure"
    review.decide(0, "accept", "Cy", settles=True)
    (row,) = review.decided().to_pylist()
    assert (row["label"], row["reviewer"], row["reasons"]) == (True, "Cy", ["other small animals eat it"])
    assert review.undo("Cy") == 0
    assert review.decided()["label"].to_pylist() == [None]


@pytest.mark.parametrize("row", [-1, 4, 9999])
def test_a_row_that_the_list_lacks_is_refused_and_nothing_is_kept(row, folder):
    with pytest.raises(LassError) as error:
        Review(folder).decide(row, "accept", "Ada")
    one_line(error, f"row {row}; expected 0 to 3, a row of {folder}/suggestions.tsv")
    assert not (folder / "decisions.jsonl").exists()


def test_undo_takes_back_the_last_decision_of_that_person_after_a_new_start_too(folder):
    review = Review(folder)
    for row, reviewer in ((2, "Ada"), (0, "Ada"), (1, "Bob")):
        review.decide(row, "accept", reviewer)
    review = Review(folder)
    assert [review.undo("Ada") for _ in range(3)] == [0, 2, None]
    assert review.decided()["head"].to_pylist() == ["dog"]


def test_nothing_decided_writes_nothing_and_everything_undone_an_empty_table(folder):
    review = Review(folder)
    assert review.write_decided() is None
    review.decide(0, "accept", "Ada")
    review.write_decided()
    review.undo("Ada")
    assert len(read_judged_triplets(review.write_decided())[0]) == 0


def test_without_a_decision_the_table_of_earlier_ones_stays(folder):
    review = Review(folder)
    review.decide(0, "accept", "Ada")
    before = review.write_decided().read_bytes()
    (folder / "decisions.jsonl").unlink()
    assert Review(folder).write_decided() is None
    assert (folder / "decisions.tsv").read_bytes() == before


def test_a_decision_about_a_triplet_that_the_list_lacks_is_refused_with_its_line(folder):
    file = DecisionsFile(folder)
    file.append(decision(1))
    file.append(decision(0))
    write_list(folder, **{name: values[1:] for name, values in COLUMNS.items()})
    with pytest.raises(LassError) as error:
        Review(folder)
    one_line(error, "decisions.jsonl, line 2:", "lacks the triplet 'cat' 'eats' 'mouse'")
    assert "Move the file and decisions.tsv away" in str(error.value)


def test_a_review_that_meets_such_a_decision_keeps_none_until_it_starts_again(folder):
    review = Review(folder)
    DecisionsFile(folder).append(Decision("a", "b", "c", "accept", "Bob", "2026-01-01T00:00:00+00:00"))
    size = (folder / "decisions.jsonl").stat().st_size
    for _ in range(2):
        with pytest.raises(LassError, match=r"line 1: .* lacks the triplet 'a' 'b' 'c'"):
            review.decide(0, "accept", "Ada")
    assert (folder / "decisions.jsonl").stat().st_size == size


def test_accepted_triplets_go_out_in_the_form_of_their_source(folder):
    pytest.importorskip("pyoxigraph")
    review = Review(folder)
    with pytest.raises(LassError) as error:
        review.export(folder / "out.ttl")
    one_line(error, "no triplet is accepted yet (0 of 4 triplets are decided)")
    review.decide(0, "accept", "Ada")
    review.decide(1, "reject", "Ada")
    source = SourceIds({"cat": "http://e.org/Cat", "mouse": "http://e.org/Mouse"}, {"eats": "http://e.org/eats"})
    assert review.export(folder / "out.ttl", source=source).rows == 1
    text = (folder / "out.ttl").read_text()
    assert "<http://e.org/Cat> <http://e.org/eats> <http://e.org/Mouse> ." in text
    assert 'lass:reviewer "Ada"' in text
    assert "dog" not in text
    review.export(folder / "out.obo")
    assert 'lass_reviewer="Ada"' in (folder / "out.obo").read_text()


def test_findings_go_out_whether_they_are_true_or_wrong(folder):
    write_list(folder, "findings.tsv")
    (folder / "suggestions.tsv").unlink()
    review = Review(folder)
    review.decide(0, "unsure", "Ada")
    with pytest.raises(LassError) as error:
        review.export(folder / "out.tsv")
    one_line(error, "no triplet is found true or wrong yet (1 of 4 triplets are decided)")
    review.decide(1, "reject", "Ada")
    review.decide(2, "accept", "Ada")
    review.export(folder / "out.tsv")
    assert read_judged_triplets(folder / "out.tsv")[0]["label"].to_pylist() == [False, True]


# Known facts


def test_known_facts_against_a_plain_loop():
    splits = {
        "train": [("a", "r", "b"), ("b", "r", "a"), ("a", "s", "a"), ("a", "r", "b")],
        "test": [("c", "s", "a"), ("a", "r", "c")],
    }
    graph = KnowledgeGraph.from_triplets(
        splits["train"], test=splits["test"], entity_text={"a": "a", "b": "the b", "c": "c"}
    )
    facts = KnownFacts(graph)
    every = {triplet for rows in splits.values() for triplet in rows}
    texts = {"a": "a", "b": "the b", "c": "c"}
    for entity, but in itertools.product("abc", [("a", "r", "b"), ("c", "s", "c"), ("x", "r", "a")]):
        expected = {Fact(r, texts[t], True) for h, r, t in every - {but} if h == entity}
        expected |= {Fact(r, texts[h], False) for h, r, t in every - {but} if t == entity}
        found, total = facts.of(entity, but, 10)
        assert set(found) == expected
        assert total == len(found) == len(expected)
        assert facts.of(entity, but, 1) == (found[:1], total)
    assert facts.of("unknown", ("a", "r", "b"), 5) == ([], 0)

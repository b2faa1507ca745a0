"""A whole graph completed: the list, its files, and what is refused."""

import errno
import json
import logging
import os
import re
from unittest.mock import patch

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import some_evidence
from helpers.judged import write_decisions
from helpers.kills import Kills
from helpers.rule_sets import make_rules
from helpers.tiny import TRAIN, integer_graph, one_line

from lass_hf import KnowledgeGraph
from lass_hf.completion import completer, completing
from lass_hf.completion.completer import GraphCompleter
from lass_hf.completion.completing import check_link, complete_graph, measure_completion
from lass_hf.completion.queries import choose_queries
from lass_hf.completion.settings import CompletionSettings
from lass_hf.completion.standing import IMPLIED, NEW, REVERSE, STANDINGS
from lass_hf.core.errors import GraphError, LassError, UnknownNameError
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.structure.facts import Facts
from lass_hf.utils.result_files import read_results
from lass_hf.writers.tables import read_judged_triplets

FILES = {"suggestions.tsv", "implied.tsv", "completion.json", "report.html"}


@pytest.fixture(scope="module")
def evidence(graph):
    return some_evidence(graph)


@pytest.fixture(scope="module")
def large():
    """People who live in towns, with links held out of training; the evidence is what is frequent."""
    rng = np.random.default_rng(4)
    columns = rng.integers(60, size=400), rng.integers(2, size=400), 60 + rng.integers(20, size=400) ** 2 // 20
    links = np.unique(np.stack(columns, axis=1), axis=0)
    links = rng.permutation(links)
    parts = {"train": links[80:], "validation": links[40:80], "test": links[:40]}
    rows = {name: [tuple(map(str, row)) for row in own.tolist()] for name, own in parts.items()}
    graph = integer_graph(rows.pop("train"), 80, 2, **rows)
    rules = make_rules((0, (1, -1, -1), -1, -1, 1, 2, 0.5, 0))
    return graph, some_evidence(graph, kinds=("frequency",), rules=rules)


def complete(graph, evidence, folder, model=None, processor=None, **settings):
    chosen = CompletionSettings(**settings)
    return complete_graph(graph, model, processor, folder, evidence=evidence, settings=chosen, quiet=True)


def rows_of(folder, name="suggestions.tsv"):
    return read_judged_triplets(folder / name)[0].to_pylist()


def triplets_of(graph, rows):
    names = zip(("head", "relation", "tail"), (graph.entities, graph.relations, graph.entities), strict=True)
    return np.array([[names.find(row[name]) for row in rows] for name, names in names]).reshape(3, -1).T


def test_the_folder_has_a_list_that_is_new_to_the_graph(graph, evidence, tmp_path):
    result = complete_graph(graph, None, None, tmp_path / "out", evidence=evidence, quiet=True, graph_name="animals")
    assert {file.name for file in (tmp_path / "out").iterdir() if not file.name.endswith(".metadata.json")} == FILES
    rows, implied = rows_of(tmp_path / "out"), rows_of(tmp_path / "out", "implied.tsv")
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == len(result.completion.listed) > 5
    assert not graph.known.contains(triplets_of(graph, rows + implied)).any()
    suggested = result.completion.suggestions.triplets
    assert np.array_equal(triplets_of(graph, rows), suggested[result.completion.listed])
    assert {row["kind"] for row in implied} <= {STANDINGS[IMPLIED], STANDINGS[REVERSE]}
    assert not {row["kind"] for row in rows} & {STANDINGS[IMPLIED], STANDINGS[REVERSE], "known"}
    assert {row["head_text"] for row in rows} <= set(graph.entities.texts)
    scores = np.fmax(*result.completion.suggestions.log_probabilities.T)[result.completion.listed]
    assert [row["score"] for row in rows] == pytest.approx(scores.tolist())


def test_the_list_stands_against_all_splits(tmp_path):
    graph = KnowledgeGraph.from_triplets(TRAIN)
    complete(graph, some_evidence(graph), tmp_path / "before")
    first = next(row for row in rows_of(tmp_path / "before") if row["kind"] == "new")
    turned = first["tail"], first["relation"], first["head"]
    graph = KnowledgeGraph.from_triplets(TRAIN, validation=[turned])
    complete(graph, some_evidence(graph), tmp_path / "after")
    named = [(row["head"], row["relation"], row["tail"]) for row in rows_of(tmp_path / "after")]
    assert turned[::-1] not in named
    (row,) = [
        row
        for row in rows_of(tmp_path / "after", "implied.tsv")
        if (row["head"], row["relation"], row["tail"]) == turned[::-1]
    ]
    assert row["kind"] == "reverse"
    assert row["reasons"] == [f"The graph has it the other way round: {' '.join(turned).replace('_', ' ')}."]


def test_what_people_decided_about_a_list_is_not_on_the_next_one(graph, evidence, tmp_path):
    complete(graph, evidence, tmp_path / "first")
    first = [(row["head"], row["relation"], row["tail"]) for row in rows_of(tmp_path / "first")]
    file = write_decisions(tmp_path, (first[0], True), (first[2], False), (first[3], None))
    complete(graph, evidence, tmp_path / "next", decisions=str(file))
    rows = {(row["head"], row["relation"], row["tail"]) for row in rows_of(tmp_path / "next")}
    assert set(first[:4]) - rows == {first[0], first[2]}
    told = read_results(tmp_path / "next" / "completion.json")["identity"]["decisions"]
    assert (told["accepted"], told["rejected"], told["unsure"]) == (1, 1, 1)
    decided = numbers_of(graph, dict(zip(("head", "relation", "tail"), first[2], strict=True)))
    found = check_link(graph, None, None, tmp_path / "next", decided, evidence=evidence, quiet=True)
    assert len(found.rows) == 1  # as if nobody had decided
    with pytest.raises(LassError, match="decisions"):
        complete(graph, evidence, tmp_path / "first", decisions=str(file))


def test_what_decisions_do_to_a_list_is_said(graph, evidence, tmp_path, capsys):
    rows = ("cat", "eats", "garden"), ("dog", "eats", "garden"), ("food", "eats", "garden")
    file = write_decisions(tmp_path, (rows[0], True), (rows[1], False), (rows[2], None))
    settings = CompletionSettings(decisions=str(file))
    complete_graph(graph, None, None, tmp_path / "said", evidence=evidence, settings=settings)
    counted = f"lass-hf: {file}: 1 accepted, 1 rejected, 1 unsure; none of the accepted and rejected ones is suggested"
    assert capsys.readouterr().err.splitlines()[0] == counted
    complete_graph(graph, None, None, tmp_path / "quiet", evidence=evidence, settings=settings, quiet=True)
    assert capsys.readouterr().err == ""


def test_links_that_state_the_same_fact_are_one_suggestion(tmp_path):
    """ "r1" is the inverse of "r0"; the best answers to both sides' queries are often the same fact."""
    rng = np.random.default_rng(1)
    pairs = np.unique(np.stack([rng.integers(30, size=90), 30 + rng.integers(8, size=90)], axis=1), axis=0).tolist()
    rows = [row for head, tail in pairs for row in ((str(head), "0", str(tail)), (str(tail), "1", str(head)))]
    graph = integer_graph(rows, 38, 2)
    evidence = some_evidence(graph, kinds=("frequency",), rules=make_rules((0, (3, -1, -1), -1, -1, 1, 2, 0.5, 0)))
    found = complete(graph, evidence, tmp_path / "first", per_query=20).completion
    listed = found.suggestions.triplets[found.listed].tolist()
    pairs_of = [frozenset((head, tail)) for head, _, tail in listed]
    assert len(set(pairs_of)) == len(pairs_of) > 5
    every = {frozenset((head, tail)) for head, _, tail in found.suggestions.triplets.tolist()}
    assert set(pairs_of) == every
    scores = np.fmax(*found.suggestions.log_probabilities.T)
    for position, pair in zip(found.listed.tolist(), pairs_of, strict=True):
        same = [n for n, (h, _, t) in enumerate(found.suggestions.triplets.tolist()) if frozenset((h, t)) == pair]
        assert scores[position] == scores[same].max()
    first = rows_of(tmp_path / "first")[0]
    mirror = first["tail"], {"0": "1", "1": "0"}[first["relation"]], first["head"]
    assert first["reasons"][0] == f"The same as entity {mirror[0]} relation {mirror[1]} entity {mirror[2]}."
    file = write_decisions(tmp_path, (mirror, False))
    then = complete(graph, evidence, tmp_path / "next", per_query=20, decisions=str(file)).completion
    left = {frozenset((head, tail)) for head, _, tail in then.suggestions.triplets[then.listed].tolist()}
    assert set(pairs_of) - left == {pairs_of[0]}


def test_what_training_triplets_label_false_is_not_on_the_list(graph, evidence, tmp_path):
    first = complete(graph, evidence, tmp_path / "first").completion
    wrong, train = first.suggestions.triplets[first.listed[:1]], graph["train"]
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    labels = np.append(np.ones(len(train), np.int8), np.int8(0))
    labeled = KnowledgeGraph(
        graph.entities, graph.relations, {**splits, "train": (np.concatenate([train.triplets, wrong]), labels)}
    )
    then = complete(labeled, some_evidence(labeled), tmp_path / "then").completion
    assert wrong[0].tolist() in then.suggestions.triplets.tolist()
    assert wrong[0].tolist() not in then.suggestions.triplets[then.listed].tolist()
    with pytest.raises(LassError, match="the graph labels this triplet false in training") as error:
        check_link(labeled, None, None, tmp_path / "then", wrong[0], evidence=some_evidence(labeled), quiet=True)
    one_line(error, "expected a link that it leaves open")
    with pytest.raises(LassError, match=r"another completion \(.*other triplets are labeled false\)"):
        complete(labeled, evidence, tmp_path / "first")


def test_the_results_have_settings_counts_and_what_the_list_depends_on(graph, evidence, tmp_path):
    result = complete_graph(graph, None, None, tmp_path, evidence=evidence, quiet=True, graph_name="animals")
    written = read_results(tmp_path / "completion.json")
    assert written["counts"] == json.loads(json.dumps(result.counts))
    assert written["counts"]["queries"] == len(choose_queries(Facts.from_graph(graph))[0])
    assert sum(written["counts"]["by_standing"].values()) == written["counts"]["suggestions"]
    assert (written["graph"], written["task"], written["calibration"]) == ("animals", "completion", None)
    assert written["identity"]["per_query"] == 2
    assert {"evidence", "graph", "most", "side"} <= written["identity"].keys()


def test_counts_say_what_became_of_every_suggestion(graph, evidence, tmp_path):
    everything = complete(graph, evidence, tmp_path / "all", per_query=20, any_candidate=True)
    chosen = rows_of(tmp_path / "all")[:2]
    decided = [((row["head"], row["relation"], row["tail"]), False) for row in chosen]
    options = {"any_candidate": True, "decisions": str(write_decisions(tmp_path, *decided))}
    few = complete(graph, evidence, tmp_path / "few", most=3, per_relation=2, **options)
    for result in (everything, few):
        counts = result.counts
        kept = counts["listed"] + counts["implied"]
        assert kept + sum(counts["left_out"].values()) == counts["suggestions"]
    is_known = graph.known.contains(few.completion.suggestions.triplets)
    assert few.left_out["in the graph"] == is_known.sum() > 0
    assert few.left_out["decided"] >= 2
    assert few.left_out["more of a relation (--per_relation)"] > 0
    assert few.left_out["more in all (--max)"] > 0
    assert "more answers to a query (--per_query)" in few.left_out
    assert "more in all (--max)" not in everything.left_out


def test_without_links_to_fit_on_there_is_no_probability_and_new_ones_come_first(evidence, tmp_path, caplog):
    graph = KnowledgeGraph.from_triplets(TRAIN, entity_text=None)
    own = some_evidence(graph)
    with caplog.at_level(logging.WARNING):
        result = complete(graph, own, tmp_path, per_query=9)
    assert "no probability" in caplog.text
    assert "lass-hf train --validation 10%" in result.no_probability
    rows = rows_of(tmp_path)
    assert all(row["probability"] is None for row in rows)
    standings = [row["kind"] for row in rows]
    assert standings[: standings.count(STANDINGS[NEW])] == [STANDINGS[NEW]] * standings.count(STANDINGS[NEW])


def test_with_links_held_out_of_training_each_suggestion_has_a_probability(large, tmp_path):
    graph, evidence = large
    result = complete(graph, evidence, tmp_path)
    assert result.no_probability is None
    chances = [row["probability"] for row in rows_of(tmp_path)]
    assert chances == pytest.approx(result.completion.probabilities[result.completion.listed].tolist())
    assert all(0 <= chance <= 1 for chance in chances)
    assert np.mean(chances[:5]) > np.mean(chances[-5:])
    assert read_results(tmp_path / "completion.json")["calibration"] == result.calibration.to_dict()


def test_the_check_of_one_link_says_what_the_list_says(large, tmp_path):
    graph, evidence = large
    complete(graph, evidence, tmp_path, most=40)
    rows = rows_of(tmp_path) + rows_of(tmp_path, "implied.tsv")
    assert len(rows) > 5
    for row in rows[::4]:
        found = check_link(graph, None, None, tmp_path, numbers_of(graph, row), evidence=evidence, quiet=True)
        (own,) = found.rows.to_pylist()
        assert found.lack is None
        for name in ("probability", "score"):
            assert own[name] == pytest.approx(row[name], rel=1e-5)
        assert own["kind"] == row["kind"]
        assert set(row["reasons"]) <= set(own["reasons"])
    first = rows[0]
    absent = numbers_of(graph, {**first, "tail": first["head"]})
    found = check_link(graph, None, None, tmp_path, absent, evidence=evidence, quiet=True)
    assert len(found.rows) == 0
    assert found.lack == "it is not among the best answers to the queries for its tail"
    with pytest.raises(LassError, match="the graph holds this triplet"):
        check_link(graph, None, None, tmp_path, graph["train"].triplets[0], evidence=evidence, quiet=True)
    with pytest.raises(LassError, match="the output of another completion"):
        check_link(graph, *own_model(graph), tmp_path, absent, evidence="text", quiet=True)
    with pytest.raises(LassError, match=r"completion.json"):
        check_link(graph, None, None, tmp_path / "nowhere", absent, evidence=evidence, quiet=True)


@pytest.mark.parametrize(
    ("settings", "link", "lack"),
    [
        ({"relations": ("0",)}, ("3", "1", "70"), "the completion asked for other relations"),
        ({"entities": ("4",)}, ("3", "1", "70"), "the completion asked about other entities"),
        ({"entities": ("61",), "side": "heads"}, ("3", "1", "70"), "the completion asked about other entities"),
        ({}, ("70", "1", "3"), "too few entities like its head or its tail have the relation"),
        ({"side": "heads"}, ("70", "1", "3"), "too few entities like its tail have the relation"),
        (
            {"entities": ("3", "70"), "side": "tails"},
            ("70", "1", "3"),
            "too few entities like its head have the relation",
        ),
    ],
)
def test_the_check_of_a_link_that_was_not_asked_for_says_so(large, tmp_path, settings, link, lack):
    graph, evidence = large
    complete(graph, evidence, tmp_path, **settings)
    numbers = numbers_of(graph, dict(zip(("head", "relation", "tail"), link, strict=True)))
    assert not graph.known.contains(numbers[None])[0]
    found = check_link(graph, None, None, tmp_path, numbers, evidence=evidence, quiet=True)
    assert len(found.rows) == 0
    assert found.lack == f"it was not asked for: {lack}"


def own_model(graph):
    return bi_encoder_model(), bi_encoder_processor(graph)


def numbers_of(graph, row):
    ids = graph.entities.index, graph.relations.index, graph.entities.index
    return np.array([index[row[name]] for index, name in zip(ids, ("head", "relation", "tail"), strict=True)])


@pytest.mark.parametrize("architecture", ["bi-encoder", "cross-encoder"])
def test_a_text_model_alone_completes_too(graph, model, processor, architecture, tmp_path):
    if architecture == "bi-encoder":
        model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    result = complete(graph, "text", tmp_path, model, processor, relations=("eats",), side="tails")
    eats = graph.relations.find("eats")
    assert (result.completion.slots == 2).all()
    assert (result.completion.suggestions.triplets[:, 1] == eats).all()
    assert len(rows_of(tmp_path)) > 0


def test_a_cross_encoder_reorders_the_answers_and_another_one_is_another_run(graph, model, processor, tmp_path):
    own, chosen = (bi_encoder_model(), bi_encoder_processor(graph)), CompletionSettings(relations=("eats",))
    answers = {}
    for name, rerank in (("plain", None), ("reranked", (model, processor))):
        result = complete_graph(
            graph, *own, tmp_path / name, evidence="text", settings=chosen, quiet=True, rerank=rerank
        )
        answers[name] = {tuple(one) for one in result.answers.triplets.tolist()}, result.answers.triplets
    assert answers["plain"][0] == answers["reranked"][0]  # ten of at most ten
    assert not np.array_equal(answers["plain"][1], answers["reranked"][1])
    with pytest.raises(LassError, match="the reranker is another one, or there is none"):
        complete_graph(
            graph, *own, tmp_path / "plain", evidence="text", settings=chosen, quiet=True, rerank=(model, processor)
        )
    with pytest.raises(LassError, match="rerank needs a cross-encoder to rerank with; it is a bi-encoder"):
        complete_graph(graph, *own, tmp_path, evidence="text", settings=chosen, quiet=True, rerank=own)


def test_evidence_with_text_looks_at_the_nearest_texts_of_rare_entities(graph, tmp_path, monkeypatch):
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    own, given = some_evidence(graph, model, processor, ("text", "frequency")), []

    def noted(*arguments):
        given.append(arguments[-1])
        return choose_queries(*arguments)

    monkeypatch.setattr(completer, "choose_queries", noted)
    complete_graph(graph, model, processor, tmp_path, evidence=own, dtype="float32", quiet=True)
    vectors = GraphCompleter(graph, model, processor, "text", dtype="float32", quiet=True)._bind(graph)[1]
    everyone = np.arange(graph.num_entities)
    assert np.allclose(given[0].vectors(everyone), vectors.vectors(everyone), atol=1e-6)


def test_settings_choose_what_is_asked_and_how_long_the_list_is(graph, evidence, tmp_path):
    chosen = {"relations": ("is_a", "eats"), "entities": ("cat", "dog"), "side": "tails"}
    result = complete(graph, evidence, tmp_path, most=3, per_relation=2, **chosen)
    rows = rows_of(tmp_path)
    assert len(rows) <= 3
    assert max(np.unique([row["relation"] for row in rows], return_counts=True)[1]) <= 2
    queries = result.completion.queries
    assert set(queries[:, 0]) <= {graph.entities.find("cat"), graph.entities.find("dog")}
    assert {graph.relations.ids[one] for one in set(queries[:, 1])} <= {"is_a", "eats"}


def test_long_lists_of_names_are_not_among_the_settings_that_are_shown(graph, evidence, tmp_path):
    names = tuple(graph.entities.ids) * 20
    complete(graph, evidence, tmp_path, entities=names, relations=("eats",))
    told = read_judged_triplets(tmp_path / "suggestions.tsv")[1].settings
    results = read_results(tmp_path / "completion.json")
    assert told == results["settings"]
    assert told["relations"] == ["eats"]
    assert re.fullmatch(f"{len(names)} names with digest [0-9a-f]{{32}}", told["entities"])
    assert told["entities"] in (tmp_path / "report.html").read_text()
    assert results["identity"]["entities"] == list(names)  # for the check of a link
    with pytest.raises(LassError, match="entities was ") as error:
        complete(graph, evidence, tmp_path, relations=("eats",))
    assert len(str(error.value)) < 1000


def test_any_candidate_may_be_an_answer_if_that_is_asked_for(graph, evidence, tmp_path):
    of = {}
    for name, any_candidate in (("range", False), ("any", True)):
        of[name] = complete(graph, evidence, tmp_path / name, any_candidate=any_candidate)
    assert len(of["any"].completion.suggestions) > len(of["range"].completion.suggestions)


def test_a_graph_that_changed_is_told_in_words(evidence, graph, tmp_path):
    complete(graph, evidence, tmp_path)
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    smaller = KnowledgeGraph(graph.entities, graph.relations, {**splits, "train": (graph["train"].triplets[:-1], None)})
    with pytest.raises(LassError) as error:
        complete(smaller, evidence, tmp_path, most=7)
    assert "(the graph has changed, --max was 10000, now 7)" in str(error.value)


def test_other_candidates_are_another_completion(graph, tmp_path):
    """An entity that occurs in a false triplet of a test split, and nowhere else, may be an answer."""
    entities = Vocabulary("entities", [*graph.entities.ids, "fox"], [*graph.entities.texts, "fox"])
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    test, false = graph["test"].triplets, [[graph.num_entities, 0, 0]]
    labels = np.append(np.ones(len(test), np.int8), np.int8(0))
    plain = KnowledgeGraph(entities, graph.relations, splits)
    other = KnowledgeGraph(entities, graph.relations, {**splits, "test": (np.concatenate([test, false]), labels)})
    evidence = some_evidence(plain)
    complete(plain, evidence, tmp_path / "whole")
    stopping = patch.object(completing, "write_completion", side_effect=KeyboardInterrupt)
    with stopping, pytest.raises(KeyboardInterrupt):
        complete(plain, evidence, tmp_path / "stopped")
    for folder in ("whole", "stopped"):
        with pytest.raises(LassError, match=r"another completion \(.*other entities occur in triplets"):
            complete(other, evidence, tmp_path / folder)


def test_a_list_of_another_version_is_another_one(evidence, graph, tmp_path, monkeypatch):
    complete(graph, evidence, tmp_path)
    monkeypatch.setattr(completer, "__version__", "9.0")
    with pytest.raises(LassError, match=r"\(version was .*, now 9\.0\)"):
        complete(graph, evidence, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"most": 5}, "--max was 10000, now 5"),
        ({"relations": ("eats",)}, "relations was None, now ['eats']"),
        ({"any_candidate": True}, "any_candidate was False, now True"),
    ],
)
def test_the_folder_of_another_run_is_refused_and_kept(graph, evidence, tmp_path, change, message):
    complete(graph, evidence, tmp_path)
    before = (tmp_path / "suggestions.tsv").read_bytes()
    with pytest.raises(LassError) as error:
        complete(graph, evidence, tmp_path, **change)
    one_line(error, str(tmp_path), message, "choose another --output")
    assert (tmp_path / "suggestions.tsv").read_bytes() == before


def test_a_list_of_unknown_origin_is_refused(graph, evidence, tmp_path):
    (tmp_path / "suggestions.tsv").write_text("mine")
    with pytest.raises(LassError, match=r"has suggestions\.tsv but no completion\.json"):
        complete(graph, evidence, tmp_path)


def test_a_kill_at_any_moment_leaves_what_the_next_run_makes_the_same_list_of(graph, evidence, tmp_path, monkeypatch):
    monkeypatch.setattr(completer.BiEncoder, "candidates_per_chunk", 200)
    output = tmp_path / "out"
    output.mkdir()

    def run(folder=output):
        complete(graph, evidence, folder, most=4, relations=("eats", "is_a"))

    kills = Kills(output, run, tmp_path / "states")
    assert kills.number > 15
    for state in kills.states:
        run(state)
        for name in ("suggestions.tsv", "implied.tsv"):
            assert (state / name).read_bytes() == (output / name).read_bytes()
        assert not (state / ".progress").exists()


def test_a_full_disk_keeps_the_answers_and_the_next_run_writes_them(graph, evidence, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patches:
        patches.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            complete(graph, evidence, tmp_path)
    assert not (tmp_path / "suggestions.tsv").exists()
    assert list((tmp_path / ".progress").glob("*.jsonl"))
    monkeypatch.setattr(completer.BoundEvidence, "score_candidates", None)  # nothing is left to score
    complete(graph, evidence, tmp_path)
    assert len(rows_of(tmp_path)) > 5


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"relations": ()}, "relations=(); expected ids or texts, one or more, or None for all"),
        ({"relations": "eats"}, "relations='eats'; expected ids"),
        ({"entities": []}, "entities=[]; expected ids"),
        ({"side": "left"}, "side='left'; expected one of both, heads, tails"),
        ({"per_query": 0}, "per_query=0; expected 1 or more"),
        ({"most": None}, "most=None; expected 1 or more"),
        ({"rerank_top_k": 0}, "rerank_top_k=0; expected 1 or more"),
        ({"retriever_weight": -1.0}, "retriever_weight=-1.0; expected 0 or more"),
        ({"retriever_weight": "x"}, "retriever_weight='x'; expected 0 or more"),
        *(({"seed": seed}, f"seed={seed!r}; expected a whole number of 0 or more") for seed in (-1, 1.5, "x")),
    ],
)
def test_settings_out_of_range_are_refused(choice, message):
    with pytest.raises(LassError) as error:
        CompletionSettings(**choice)
    one_line(error, message)


@pytest.mark.parametrize("choice", [{"rerank_top_k": 3}, {"retriever_weight": 0.7}])
def test_settings_of_a_reranker_that_is_not_given_are_refused(choice, graph, evidence, tmp_path):
    with pytest.raises(LassError, match="rerank_top_k and retriever_weight need rerank, which is not given"):
        complete(graph, evidence, tmp_path, **choice)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("choice", [{"relations": ("eat",)}, {"entities": ("cats",)}])
def test_a_name_that_the_graph_lacks_is_refused(graph, evidence, tmp_path, choice):
    with pytest.raises(UnknownNameError):
        complete(graph, evidence, tmp_path, **choice)
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_graph_is_refused(model, processor, large, tmp_path):
    with pytest.raises(GraphError) as error:
        complete(large[0], "text", tmp_path, model, processor)
    one_line(error, "the model is that of another graph", "none of which this graph has")


def test_entities_without_facts_have_no_query(graph, evidence, tmp_path):
    with pytest.raises(LassError, match="no query makes sense"):
        complete(graph, evidence, tmp_path, entities=("milk",))


def test_a_measurement_completes_the_graph_without_its_test_links(large):
    graph, evidence = large
    found = measure_completion(graph, None, None, evidence=evidence, quiet=True)
    assert (found["hidden"], found["num_hidden"]) == ("test", len(graph["test"].positives))
    assert found["methods"]["list"]["depths"]["200"]["hits"] > 0


def test_a_measurement_by_halves_of_validation_refits_the_weights_on_the_other_half(large, monkeypatch):
    graph, evidence = large
    splits = {name: (graph[name].triplets, None) for name in ("train", "validation")}
    graph, fitted = KnowledgeGraph(graph.entities, graph.relations, splits), []

    def refit(own, rest, *others):
        fitted.append(len(rest["validation"].positives))
        return [own]

    monkeypatch.setattr(completer, "refit_evidence", refit)
    found = measure_completion(graph, None, None, evidence=evidence, quiet=True)
    assert found["num_lists"] == len(fitted) == 2
    assert sum(fitted) == len(graph["validation"].positives)

"""Link prediction by the evidence that a model's folder has, by some kinds of it, and by a graph's alone."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import some_evidence
from helpers.ranking import same
from helpers.tiny import make_model, make_processor, one_line

from lass_hf import (
    KnowledgeGraph,
    LassError,
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    evaluate_and_record,
    evaluate_link_prediction,
    evaluate_relation_prediction,
    evaluate_reranking,
)
from lass_hf.completion.completer import GraphCompleter
from lass_hf.evaluation.ablation import ablate, subsets_to_compare
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.evaluation.triplet_fusion import choose_graph_evidence
from lass_hf.evidence import fusion_fitting
from lass_hf.evidence.building import build_evidence, refit_evidence
from lass_hf.evidence.evidence_files import save_evidence
from lass_hf.evidence.evidence_set import EvidenceSet
from lass_hf.scoring.triplet_scorer import TripletScorer

KINDS = ("text", "frequency", "rules", "vectors")


@pytest.fixture(scope="module")
def folder(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    save_evidence(some_evidence(graph, model, processor, KINDS), folder / "evidence", graph)
    return folder


@pytest.fixture(scope="module")
def loaded(folder, graph):
    return LassForKGCompletion.from_pretrained(folder), LassProcessor.from_pretrained(folder), graph


@pytest.fixture(scope="module")
def evidence(loaded, graph):
    return some_evidence(graph, *loaded[:2], KINDS)


@pytest.fixture(autouse=True)
def _fit_fast(monkeypatch):
    monkeypatch.setattr(fusion_fitting, "STRENGTHS", (10.0,))
    monkeypatch.setattr(fusion_fitting, "MAX_ITERATIONS", 3)


def ranks(loaded, **choices):
    return evaluate_link_prediction(*loaded, quiet=True, **choices)


def test_what_the_folder_has_ranks_by_default(loaded, evidence):
    scorer = TripletScorer(loaded[0], loaded[1].token_store(loaded[2]))
    expected = rank_split(evidence.bind(loaded[2], scorer).score_candidates, loaded[2]["test"], quiet=True)
    for choices in ({}, {"evidence": evidence}, {"evidence": "vectors,rules,text,frequency"}):
        assert same(ranks(loaded, **choices), expected)


def test_text_alone_ranks_as_a_model_without_evidence_does(loaded, graph):
    expected = ranks((bi_encoder_model(), bi_encoder_processor(graph), graph))
    assert same(ranks(loaded, evidence="text"), expected)
    assert not same(ranks(loaded), expected)


def test_some_kinds_rank_by_weights_of_their_own(loaded, evidence):
    (refitted,) = refit_evidence(evidence, loaded[2], [("rules", "vectors")])
    assert same(ranks(loaded, evidence="rules,vectors"), ranks((None, None, loaded[2]), evidence=refitted))


def test_kinds_of_a_graph_need_no_model(graph):
    found = ranks((None, None, graph), evidence=("frequency",))
    expected = build_evidence(graph, kinds=("frequency",), quiet=True).bind(graph)
    assert same(found, rank_split(expected.score_candidates, graph["test"], quiet=True))


def test_an_evaluation_goes_on_with_its_evidence_and_no_other(loaded, tmp_path, monkeypatch):
    whole = ranks(loaded, resume_dir=tmp_path)
    monkeypatch.setattr(EvidenceSet, "score", None)  # nothing is left to score
    assert same(ranks(loaded, resume_dir=tmp_path), whole)
    for other in ("text", "rules,frequency"):
        with pytest.raises(LassError, match="the progress of another evaluation"):
            ranks(loaded, resume_dir=tmp_path, evidence=other)


def test_relations_are_ranked_by_the_model(loaded):
    evaluate_relation_prediction(*loaded, quiet=True)
    with pytest.raises(LassError, match="evidence ranks heads and tails, and relations were asked for"):
        evaluate_relation_prediction(*loaded, quiet=True, evidence="rules")


@pytest.mark.parametrize(
    ("evidence", "parts"),
    [
        ("rules,neighbors", ("evidence: no neighbors in this evidence, which has text, frequency, rules, vectors",)),
        ("rulez", ("evidence 'rulez'; expected some of text, neighbors",)),
    ],
)
def test_kinds_that_the_folder_lacks_are_named(evidence, parts, loaded):
    with pytest.raises(LassError) as error:
        ranks(loaded, evidence=evidence)
    one_line(error, *parts)


def test_kinds_of_a_model_without_evidence_and_no_kinds_at_all_are_refused(graph):
    for model, choice, message in (
        ((bi_encoder_model(), bi_encoder_processor(graph)), "rules", "no evidence in its folder"),
        ((None, None), "auto", "evidence 'auto' without a model"),
        ((None, None), "text,rules", "evidence 'text' needs a text model"),
    ):
        with pytest.raises(LassError, match=message):
            ranks((*model, graph), evidence=choice)


def test_the_split_that_weights_were_fitted_on_flatters(loaded, caplog):
    ranks(loaded, split="validation")
    assert "the weights of the evidence were fitted on the validation split: its ranks flatter" in caplog.text


@pytest.mark.parametrize("choice", [None, 3, ("rules", None)])
def test_what_is_no_choice_of_evidence_is_refused(choice, loaded):
    model, processor, graph = loaded
    for use in (
        lambda: ranks(loaded, evidence=choice),
        lambda: ranks((None, None, graph), evidence=choice),
        lambda: LassPredictor(model, processor, evidence=choice),
        lambda: choose_graph_evidence(choice, graph, model, processor),
    ):
        with pytest.raises(LassError) as raised:
            use()
        one_line(raised, f'evidence={choice!r}; expected "auto", "text", kinds such as "rules,vectors", or a Fused')


@pytest.mark.parametrize("given", ["model", "processor"])
def test_a_model_without_its_processor_is_refused(given, loaded, evidence):
    pair, graph = (loaded[0], None) if given == "model" else (None, loaded[1]), loaded[2]
    choices = {"folder": None, "graph_name": "animals", "quiet": True}
    for use in (
        lambda: ranks((*pair, graph)),
        lambda: ranks((*pair, graph), evidence=some_evidence(graph)),
        lambda: build_evidence(graph, *pair, quiet=True),
        lambda: ablate(evidence, graph, "test", *pair, quiet=True),
        lambda: evaluate_and_record("link_prediction", *pair, graph, **choices),
    ):
        with pytest.raises(LassError) as raised:
            use()
        one_line(raised, "model and processor belong together; only one of them is given")
    with pytest.raises(LassError):
        evaluate_and_record("triplet_classification", *pair, graph, **choices)


def test_given_evidence_is_that_of_the_model_or_refused(loaded, evidence, graph):
    other = bi_encoder_model(seed=5), bi_encoder_processor(graph)
    reads_no_text = replace(some_evidence(graph), model_fingerprint="another")
    for use in (
        lambda given: evaluate_link_prediction(*other, graph, evidence=given, quiet=True),
        lambda given: LassPredictor(*other, evidence=given),
        lambda given: choose_graph_evidence(given, graph, *other),
        lambda given: GraphCompleter(graph, *other, evidence=given, quiet=True),
    ):
        with pytest.raises(LassError) as raised:
            use(evidence)
        one_line(raised, "the given evidence: evidence of another model than this one", 'evidence "text"')
        use(reads_no_text)


def test_given_evidence_of_other_facts_is_used_with_one_warning(loaded, evidence, graph, tmp_path, caplog):
    fewer = {name: (split.triplets[1:], None) for name, split in graph.splits.items()}
    other = (*loaded[:2], KnowledgeGraph(graph.entities, graph.relations, fewer))
    ranks(loaded, evidence=evidence)
    assert "other training triplets" not in caplog.text
    choices = {"folder": None, "graph_name": "animals", "quiet": True}
    for use in (
        lambda: ranks(other, evidence=evidence),
        lambda: evaluate_and_record("link_prediction", *other, evidence=evidence, **choices),
        lambda: evaluate_and_record("link_prediction", *other, **choices),  # that of the folder
        lambda: choose_graph_evidence(evidence, other[2], *other[:2]),
        lambda: GraphCompleter(other[2], *other[:2], evidence=evidence, quiet=True),
    ):
        caplog.clear()
        use()
        assert caplog.text.count("made of other training triplets than those of this graph; add evidence again") == 1


def test_a_retriever_retrieves_by_its_evidence(loaded):
    graph = loaded[2]
    reranker = make_model(), make_processor(graph)
    choices = {"top_k": 4, "retriever_weight": 0.5, "quiet": True}
    found = evaluate_reranking(*loaded[:2], *reranker, graph, **choices)
    assert np.array_equal(found.retrieval.ranks, ranks(loaded).ranks)
    text = evaluate_reranking(*loaded[:2], *reranker, graph, evidence="text", **choices)
    assert np.array_equal(text.retrieval.ranks, ranks(loaded, evidence="text").ranks)


# Ablation


def test_the_subsets_are_each_alone_all_without_it_and_all():
    assert subsets_to_compare("abc") == [("a",), ("b",), ("c",), ("b", "c"), ("a", "c"), ("a", "b"), ("a", "b", "c")]
    assert subsets_to_compare("ab") == [("a",), ("b",), ("a", "b")]
    assert subsets_to_compare("a") == [("a",)]


def test_each_row_of_an_ablation_ranks_as_its_kinds_do(loaded, monkeypatch):
    model, processor, graph = loaded
    kinds, calls = ("text", "rules"), []
    evidence = some_evidence(graph, model, processor, kinds)
    features = EvidenceSet.__call__
    monkeypatch.setattr(EvidenceSet, "__call__", lambda *given, **more: calls.append(1) or features(*given, **more))
    rows = ablate(evidence, graph, "test", model, processor, quiet=True)
    assert len(calls) == 4  # once for both slots of the fit, and of the ranking
    assert [row.kinds for row in rows] == subsets_to_compare(kinds)
    scorer = TripletScorer(model, processor.token_store(graph))
    for row, refitted in zip(rows, refit_evidence(evidence, graph, [row.kinds for row in rows], scorer), strict=True):
        assert same(row.result, ranks(loaded, evidence=refitted))
    sources = {row.kinds: row.source for row in rows}
    assert (sources["text",], sources["rules",], sources[kinds]) == ("text", "structure", "both")
    assert all(row.seconds >= 0 for row in rows)

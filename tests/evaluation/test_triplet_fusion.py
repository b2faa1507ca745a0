"""Classification by all evidence: what the graph says of a triplet, and the fit to the labels of validation."""

import math

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import some_evidence
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, integer_graph, one_line

from lass_hf import KnowledgeGraph, evaluate_and_record, evaluate_triplet_classification
from lass_hf.core.errors import GraphError, LassError
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.evaluation.triplet_fusion import choose_graph_evidence, describe_triplets, fit_to_labels
from lass_hf.evidence.boosted_fit import fit_out_of_fold
from lass_hf.evidence.evidence import KINDS
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_scores import RuleScorer
from lass_hf.utils.result_files import read_results


def test_features_are_those_of_plain_loops(graph):
    evidence, train = some_evidence(graph), graph["train"].triplets.tolist()
    triplets = np.concatenate([graph["train"].triplets[:6], graph["test"].triplets])
    features = describe_triplets(evidence, graph, triplets)
    vectors, known = evidence.vectors, {tuple(row) for row in train}
    num_ranked = 0
    said_by_rules = RuleScorer(evidence.rules, Facts.from_graph(graph)).triplet_scores(triplets)
    for row, (head, relation, tail) in enumerate(triplets.tolist()):
        expected = [relation]
        for slot, entity in ((0, head), (2, tail)):
            expected += [
                math.log1p(sum((one[0] == entity) + (one[2] == entity) for one in train)),
                math.log1p(sum(one[1] == relation and one[slot] == entity for one in train)),
                math.log1p(sum(one[1] == relation and one[2 - slot] == triplets[row, 2 - slot] for one in train)),
            ]
        assert features[row, :7] == pytest.approx(expected)
        assert features[row, 7] == pytest.approx(said_by_rules[row])
        if not (vectors.has_vector[[head, tail]].all() and vectors.has_relation[relation]):
            assert np.isnan(features[row, 8:]).all()
            continue
        num_ranked += 1
        # The tail by vectors: among the entities that have one, without other known tails.
        scores = vectors.query_vectors(triplets[row : row + 1], 2)[0] @ vectors.candidate_vectors().T
        others = [
            scores[entity]
            for entity in np.flatnonzero(vectors.has_vector).tolist()
            if entity != tail and (head, relation, entity) not in known
        ]
        total = np.log(np.sum(np.exp([*others, scores[tail]])))
        rank = 1 + sum(score > scores[tail] for score in others)
        by_vectors = [scores[tail] - total, math.log(rank), max(others) - total]
        assert features[row, -3:] == pytest.approx(by_vectors, abs=1e-4)
    assert 0 < num_ranked < len(triplets)
    assert features.shape == (len(triplets), 1 + 6 + 1 + 9)
    assert describe_triplets(some_evidence(graph, kinds=("rules",)), graph, triplets).shape[1] == 2


def test_entities_that_follow_those_of_the_evidence_have_no_vector(graph, model, processor):
    """The graph got more entities after its evidence was found: the numbers of the others are as they were."""
    size, new = graph.num_entities, ["new", "newer"]
    entities = Vocabulary("entity", [*graph.entities.ids, *new], [*graph.entities.texts, *new])
    splits = {"train": (graph["train"].triplets, None), "test": (np.array([[0, 0, size], [size + 1, 0, 1]]), None)}
    larger = KnowledgeGraph(entities, graph.relations, splits)
    found = choose_graph_evidence(some_evidence(graph), larger, model, processor)
    triplets = np.concatenate([graph["test"].triplets, larger["test"].triplets])
    features = describe_triplets(found, larger, triplets)
    assert np.array_equal(
        features[:-2], describe_triplets(some_evidence(graph), graph, graph["test"].triplets), equal_nan=True
    )
    assert np.isnan(features[-2:, 8:]).all()


def numbered(count):
    """Triplets that differ."""
    return np.repeat(np.arange(count), 3).reshape(-1, 3)


def test_no_label_of_validation_speaks_for_its_own_triplet():
    """Noise fits its own labels, and says nothing of others."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(900, 3)).astype(np.float32), rng.integers(2, size=600)
    is_right = (fit_to_labels(features, numbered(600), labels)[:600] > 0) == (labels == 1)
    assert abs(is_right.mean() - 0.5) < 0.1


def test_no_copy_of_a_triplet_speaks_for_it():
    """A file may have a line twice: the copy knows the label."""
    rng = np.random.default_rng(0)
    features, labels, triplets = rng.normal(size=(300, 3)).astype(np.float32), rng.integers(2, size=300), numbered(300)
    once = fit_to_labels(features, triplets, labels)
    assert np.array_equal(once, -fit_out_of_fold(features, labels == 0, np.ones(300, bool)))
    twice = fit_to_labels(*(np.concatenate([one, one[::-1]]) for one in (features, triplets, labels)))
    assert np.array_equal(twice, np.concatenate([once, once[::-1]]))
    labeled_both = fit_to_labels(
        features[[*range(300), 7]], triplets[[*range(300), 7]], np.append(labels, 1 - labels[7])
    )
    assert np.array_equal(labeled_both, np.append(once, once[7]))


def test_the_fit_learns_what_two_features_say_together():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(1500, 3)).astype(np.float32)
    features[rng.random((1500, 3)) < 0.05] = np.nan
    truth = np.nan_to_num(features[:, 0]) * np.nan_to_num(features[:, 1]) > 0
    log_odds = fit_to_labels(features, numbered(1000), truth[:1000].astype(np.int8))
    assert ((log_odds[1000:] > 0) == truth[1000:]).mean() > 0.85
    assert ((log_odds[:1000] > 0) == truth[:1000]).mean() > 0.85


def test_too_few_labels_are_one_line():
    triplets, labels = numbered(5)[[0, 1, 2, 3, 4, 4]], np.array([1, 1, 1, 0, 0, 0], np.int8)
    with pytest.raises(GraphError) as raised:
        fit_to_labels(np.zeros((6, 1), np.float32), triplets, labels)
    assert "3 true and 2 false distinct triplets, and a fit of all evidence needs 3 of each" in one_line(raised)


def test_too_few_labels_are_refused_before_a_triplet_is_scored(graph, model, processor, monkeypatch):
    false = [(*row[::-1], "-1") for row in TEST[:2]]
    rows = [*((*row, "1") for row in VALIDATION), *false], [*((*row, "1") for row in TEST), *false]
    few = KnowledgeGraph.from_triplets(TRAIN, *rows, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    monkeypatch.setattr(TripletScorer, "score", None)
    with pytest.raises(GraphError, match="3 true and 2 false"):
        evaluate_triplet_classification(model, processor, few, quiet=True, evidence=some_evidence(graph))


@pytest.fixture(scope="module")
def judged():
    """People (0 to 39) and their kinds of work (40 to 43), which hang together; false triplets have other kinds."""
    rng = np.random.default_rng(3)
    work = rng.integers(4, size=40)
    friends = [(str(a), "0", str(b)) for a in range(40) for b in range(40) if a != b and work[a] == work[b]]
    train = [friends[n] for n in rng.permutation(len(friends))[:200].tolist()]
    train += [(str(person), "1", str(40 + work[person])) for person in range(20)]
    rows = [(str(n), "1", str(40 + (work[n] + k) % 4), "1" if not k else "-1") for n in range(20, 40) for k in (0, 1)]
    return integer_graph(train, 44, 2, validation=rows[:20], test=rows[20:])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_text_alone_stands_beside_the_result_with_evidence(judged, model, processor, split):
    result = evaluate_triplet_classification(
        model, processor, judged, split, quiet=True, evidence="frequency,rules,vectors"
    )
    alone = evaluate_triplet_classification(model, processor, judged, split, quiet=True, evidence="text")
    assert result.text.scores.tolist() == alone.scores.tolist()
    assert result.metrics["text_accuracy"] == alone.metrics["accuracy"]
    assert result.metrics["text_per_relation_accuracy"] == alone.metrics["per_relation_accuracy"]
    assert set(result.metrics) - set(alone.metrics) == {"text_accuracy", "text_per_relation_accuracy"}
    assert result.evidence.kinds == ("frequency", "rules", "vectors")
    assert len(result.scores) == 20
    assert alone.evidence is alone.text is None


def test_results_say_nothing_of_weights_that_rank(judged, model, processor, tmp_path):
    choices = {"folder": None, "graph_name": "work", "file": tmp_path / "found.json", "quiet": True}
    evaluate_and_record("triplet_classification", model, processor, judged, evidence="frequency,rules", **choices)
    content = read_results(tmp_path / "found.json")
    assert set(content["evidence"]) == {"kinds", "num_rules", "dim", "seconds", "fingerprint"}
    assert "evidence_seconds" not in content


def test_evidence_is_that_of_the_folder_or_found_or_none(graph, model, processor):
    assert choose_graph_evidence("text", graph, model, processor) is None
    assert choose_graph_evidence("auto", graph, model, processor) is None  # the folder has none
    silent = some_evidence(graph, model, processor, kinds=("text",))
    assert choose_graph_evidence(silent, graph, model, processor) is None
    given = some_evidence(graph)
    assert choose_graph_evidence(given, graph, model, processor).rules is given.rules


def test_evidence_of_texts_alone_is_refused_as_its_kinds_are(graph):
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    for choice in (("text", "neighbors"), some_evidence(graph, model, processor, kinds=("text", "neighbors"))):
        with pytest.raises(LassError) as raised:
            choose_graph_evidence(choice, graph, model, processor)
        one_line(raised, "evidence 'neighbors' says nothing about a triplet")
    everything = some_evidence(graph, model, processor, kinds=KINDS)
    assert choose_graph_evidence(everything, graph, model, processor).kinds == KINDS


@pytest.mark.parametrize("kinds", ["neighbors", "text,stars", ""])
def test_kinds_that_say_nothing_of_a_triplet_are_refused(graph, model, processor, kinds):
    with pytest.raises(LassError) as raised:
        choose_graph_evidence(kinds, graph, model, processor)
    assert ("evidence 'neighbors' says nothing about a triplet" if kinds == "neighbors" else "evidence") in one_line(
        raised
    )

"""Fused evidence: scores, ties, shares, probabilities, other graphs, new entities."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import rules_by_hand, some_evidence
from helpers.structure import TEXTS, graph_with_tiger, random_vectors
from helpers.tiny import RELATION_TEXT, TEST, TRAIN, VALIDATION, one_line

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError, LassError
from lass_hf.evidence import building
from lass_hf.evidence.building import build_evidence, hold_out_for_fitting, refit_evidence
from lass_hf.evidence.evidence import KINDS
from lass_hf.evidence.rule_reasons import rule_reasons
from lass_hf.scoring.triplet_scorer import TripletScorer


@pytest.fixture(scope="module")
def graph():
    return graph_with_tiger()


@pytest.fixture(scope="module")
def scorer(graph):
    return TripletScorer(bi_encoder_model(), bi_encoder_processor(graph).token_store(graph), "float32")


@pytest.fixture(scope="module")
def evidence(graph):
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    return build_evidence(graph, model, processor, vectors=random_vectors(graph), quiet=True)


def everything(graph, split="test"):
    """Queries, candidates, and a mask of all pairs."""
    queries, candidates = graph[split].triplets, np.arange(graph.num_entities)
    return queries, candidates, np.ones((len(queries), len(candidates)), dtype=bool)


@pytest.mark.parametrize("slot", [0, 2])
def test_a_score_is_the_weighted_sum_of_the_features(graph, scorer, evidence, slot):
    bound = evidence.bind(graph, scorer)
    queries, candidates, mask = everything(graph)
    scores = bound.score_candidates(queries, slot, candidates, mask)
    features = bound._set(queries, slot, candidates, mask)
    groups = bound._groups(queries, slot)
    for row in range(len(queries)):
        weights = sum(evidence.fusion.weights_of_groups[group] for group in groups[row])
        if not (graph["train"].triplets[:, [0, 2]] == queries[row, 2 - slot]).any():  # words alone
            weights = weights * [kind == "text" for kind in evidence.fusion.kinds]
        expected = sum(
            weights[number] * features[bound._set.features.index(name), row]
            for number, name in enumerate(evidence.fusion.features)
        )
        assert scores[row] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    few = np.array([4, 1])
    assert bound.score_candidates(queries, slot, few, mask[:, :2]) == pytest.approx(scores[:, few], abs=1e-4)


def test_candidates_with_equal_features_tie_exactly(scorer):
    """Of "milk" and "water", with one text and no facts, nothing differs; nor of two "garden"s with the same facts."""
    texts = TEXTS | {"water": TEXTS["milk"], "park": TEXTS["garden"]}
    train = [*TRAIN, ("dog", "lives_in", "park")]
    graph = KnowledgeGraph.from_triplets(train, VALIDATION, TEST, entity_text=texts, relation_text=RELATION_TEXT)
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    fused = build_evidence(graph, model, processor, ("text", "neighbors", "frequency"), quiet=True)
    bound = fused.bind(graph, TripletScorer(model, processor.token_store(graph), "float32"))
    queries, candidates, mask = everything(graph, "train")
    scores = bound.score_candidates(queries, 2, candidates, mask)
    assert len(np.unique(scores)) > len(candidates)
    for names in (("milk", "water"), ("garden", "park")):
        one, other = (scores[:, graph.entities.ids.index(name)] for name in names)
        assert np.array_equal(one, other)


def test_shares_sum_to_the_score_but_a_constant(graph, scorer, evidence):
    bound = evidence.bind(graph, scorer)
    queries, candidates, mask = everything(graph)
    shares = bound.shares(queries, 2, candidates)
    assert tuple(shares) == evidence.kinds == KINDS
    assert all(np.ptp(share) > 0 for kind, share in shares.items() if kind != "rules")
    difference = bound.score_candidates(queries, 2, candidates, mask) - sum(shares.values())
    assert np.ptp(difference, axis=1) == pytest.approx(0, abs=1e-3)
    of_everyone = bound.shares(queries, 2, graph.candidates[2])
    assert all(share.mean(axis=1) == pytest.approx(0, abs=1e-3) for share in of_everyone.values())


def test_probabilities_of_unknown_answers_sum_to_one(graph, scorer, evidence):
    bound = evidence.bind(graph, scorer)
    queries = np.array([[0, 1, 0], [9, 0, 0]])
    candidates = graph.candidates[2]
    probabilities = bound.probabilities(queries, 2, candidates)
    for row, (head, relation, _) in enumerate(queries.tolist()):
        triplets = np.array([[head, relation, tail] for tail in candidates.tolist()])
        unknown = ~graph.known.contains(triplets)
        assert probabilities[row, unknown].sum() == pytest.approx(1, abs=1e-4)
        assert (probabilities[row] <= 1).all()


def test_what_a_query_lacks_is_off(graph, evidence):
    """A query about an entity without facts has no weight of vectors or neighbors in its scores."""
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    bound = evidence.bind(graph, TripletScorer(model, processor.token_store(graph), "float32"))
    milk = graph.entities.ids.index("milk")
    queries = np.array([[milk, 0, 0]])
    features = bound._set(queries, 2, np.arange(11), np.ones((1, 11), dtype=bool))
    names = bound._set.features
    for name in ("neighbors_text", "neighbors_neighbors", "vectors", "has_vector"):
        assert not features[names.index(name)].any()
    text_neighbors = features[names.index("text_neighbors"), 0]
    assert not text_neighbors[[milk, graph.entities.ids.index("tiger")]].any()


def test_reasons_are_rules_in_words_that_hold(graph, scorer, evidence):
    bound = evidence.bind(graph, scorer)
    position = bound._set.features.index("rules_sum")
    queries, candidates, mask = everything(graph, "train")
    says = bound._set(queries, 2, candidates, mask)[position] > 0
    assert says.any()
    for row, query in enumerate(queries):
        for candidate in candidates.tolist():
            reasons = rule_reasons(bound, np.array([*query[:2], candidate]), 2, most=2)
            assert len(reasons) <= 2
            if says[row, candidate] and not graph.known_in_train.contains(np.array([[*query[:2], candidate]])).any():
                assert reasons
                assert all(any(name in reason for name in graph.entities.ids) for reason in reasons)
    assert rule_reasons(bound, np.array([99, 0, 1]), 2) == []


def test_the_numbers_of_a_graph_do_not_matter(graph, scorer, evidence):
    """The same triplets, read in another order, give entities and relations other numbers."""
    entity_texts, relation_texts = dict(reversed(TEXTS.items())), dict(reversed(RELATION_TEXT.items()))
    other = KnowledgeGraph.from_triplets(
        TRAIN[::-1], VALIDATION, TEST, entity_text=entity_texts, relation_text=relation_texts
    )
    assert other.entities.ids != graph.entities.ids
    assert other.relations.ids != graph.relations.ids
    store = bi_encoder_processor(other).token_store(other)
    bound, again = evidence.bind(graph, scorer), evidence.bind(other, TripletScorer(scorer.model, store, "float32"))
    queries, candidates, mask = everything(graph)
    expected = bound.score_candidates(queries, 2, candidates, mask)
    entity = np.array([other.entities.ids.index(name) for name in graph.entities.ids])
    relation = np.array([other.relations.ids.index(name) for name in graph.relations.ids])
    queries = np.stack([entity[queries[:, 0]], relation[queries[:, 1]], entity[queries[:, 2]]], axis=1)
    scores = again.score_candidates(queries, 2, entity, mask)
    assert scores == pytest.approx(expected, abs=1e-3)


def test_entities_that_are_new_are_scored_by_their_words(graph, scorer, evidence):
    """A new entity with the text of "tiger", which no facts are about, has the scores of "tiger"."""
    bound = evidence.bind(graph, scorer)
    processor = bi_encoder_processor(graph)
    texts = [TEXTS["tiger"], "a new text"]
    store = scorer.store.with_entities(processor.tokenize(texts, texts))
    extended = bound.with_scorer(scorer.with_store(store))
    tiger = graph.entities.ids.index("tiger")
    candidates = np.array([*range(graph.num_entities), 11, 12])
    queries = np.array([[2, 0, 0], [tiger, 0, 0], [11, 0, 0]])
    scores = extended.score_candidates(queries, 2, candidates, np.ones((3, 13), dtype=bool))
    before = bound.score_candidates(queries[:2], 2, candidates[:-2], np.ones((2, 11), dtype=bool))
    assert scores[:2, :-2] == pytest.approx(before, abs=1e-3)
    assert np.array_equal(scores[:, 11], scores[:, tiger])
    assert scores[2] == pytest.approx(scores[1], abs=1e-3)
    assert not np.array_equal(scores[:, 12], scores[:, tiger])


def test_texts_of_new_entities_change_nothing_where_texts_do_not_count():
    """Of "milk" and "water", with one text, evidence without texts reads none, whoever else is asked for."""
    texts = TEXTS | {"water": TEXTS["milk"]}
    graph = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=texts, relation_text=RELATION_TEXT)
    processor = bi_encoder_processor(graph)
    scorer = TripletScorer(bi_encoder_model(), processor.token_store(graph), "float32")
    bound = some_evidence(graph, kinds=("frequency",)).bind(graph, scorer)
    extended = bound.with_scorer(scorer.with_store(scorer.store.with_entities(processor.tokenize(["new"], ["new"]))))
    milk, water = (graph.entities.ids.index(name) for name in ("milk", "water"))
    queries, candidates = np.array([[milk, 0, 0], [water, 0, 0]]), np.arange(graph.num_entities)
    mask = np.ones((2, len(candidates)), dtype=bool)
    scores = bound.score_candidates(queries, 2, candidates, mask)
    assert scores[0, milk] != scores[0, water]
    assert np.array_equal(extended.score_candidates(queries, 2, candidates, mask), scores)


def test_evidence_without_a_model_holds_out_a_part_of_train():
    graph = KnowledgeGraph.from_triplets(TRAIN, entity_text=TEXTS, relation_text=RELATION_TEXT)
    held = hold_out_for_fitting(graph)
    assert len(held["train"]) + len(held["validation"]) == len(TRAIN)
    assert not held.known_in_train.contains(held["validation"].triplets).any()
    fused = build_evidence(graph, kinds=("frequency",), quiet=True)
    assert fused.fusion.num_fitted == 2 * len(held["validation"])
    again = build_evidence(graph, kinds=("frequency",), quiet=True)
    assert np.array_equal(fused.fusion.weights_of_groups, again.fusion.weights_of_groups)
    assert fused.facts_fingerprint == again.facts_fingerprint


def test_evidence_knows_the_facts_it_was_made_of_in_any_order_and_numbers(graph, evidence):
    """More entities, other splits and another order are no other facts; one more or one less is."""

    def make(train, test=TEST, **more):
        texts = {"entity_text": dict(reversed(TEXTS.items())) | more, "relation_text": {"new": "new"} | RELATION_TEXT}
        return KnowledgeGraph.from_triplets(train, test=test, **texts)

    assert not evidence.was_made_of_other_facts(graph)
    assert not evidence.was_made_of_other_facts(make([*TRAIN[::-1], TRAIN[0]]))
    assert not evidence.was_made_of_other_facts(make(TRAIN, test=[("crow", "eats", "cheese")], crow="a crow"))
    assert evidence.was_made_of_other_facts(make(TRAIN[1:]))
    assert evidence.was_made_of_other_facts(make([*TRAIN, *TEST[:1]]))
    assert evidence.was_made_of_other_facts(make([TRAIN[0][::-1], *TRAIN[1:]]))


@pytest.mark.parametrize(
    ("kinds", "given", "has_validation", "parts"),
    [
        (("rules", "vectors"), (), True, [3, 3]),
        (("rules", "frequency"), (), True, [6]),
        (("rules", "vectors"), ("rules",), True, [6]),
        (("rules", "vectors"), (), False, [1.5] * 4),
        (("vectors",), (), False, [3, 3]),
        (("frequency",), (), True, []),
    ],
)
def test_what_is_searched_for_shares_the_minutes(kinds, given, has_validation, parts, graph, monkeypatch):
    found, spent = {"rules": rules_by_hand(graph), "vectors": random_vectors(graph)}, []
    monkeypatch.setattr(building, "find_rules", lambda _, minutes, **more: spent.append(minutes) or found["rules"])
    monkeypatch.setattr(
        building, "train_structural_vectors", lambda _, own, **more: spent.append(own.minutes) or found["vectors"]
    )
    splits = {name: (split.triplets, None) for name, split in graph.splits.items() if name != "validation"}
    other = graph if has_validation else KnowledgeGraph(graph.entities, graph.relations, splits)
    build_evidence(other, kinds=kinds, minutes=6, quiet=True, **{name: found[name] for name in given})
    assert spent == parts


def test_subsets_are_fitted_on_one_sample(graph, scorer, evidence):
    alone, pair = refit_evidence(evidence, graph, [("vectors",), ("vectors", "text")], scorer, quiet=True)
    assert (alone.kinds, pair.kinds) == (("vectors",), ("text", "vectors"))
    queries, candidates, mask = everything(graph)
    scores = alone.bind(graph).score_candidates(queries, 2, candidates, mask)
    assert len(np.unique(scores[:, [graph.entities.ids.index(name) for name in ("milk", "tiger")]])) <= len(queries)
    pair.bind(graph, scorer).score_candidates(queries, 2, candidates, mask)


def test_weights_are_not_fitted_on_a_validation_split_without_true_triplets(graph, evidence):
    splits = {"train": (graph["train"].triplets, None), "validation": (np.array([[0, 0, 1]]), np.zeros(1, np.int8))}
    other = KnowledgeGraph(graph.entities, graph.relations, splits)
    with pytest.raises(GraphError) as error:
        refit_evidence(evidence, other, [("rules",)])
    one_line(error, "the validation split has no true triplet")


def test_errors_are_one_clear_line(graph, scorer, evidence):
    strangers = KnowledgeGraph.from_triplets([("a", "b", "c"), ("c", "b", "a")])
    with pytest.raises(GraphError) as error:
        evidence.bind(strangers, scorer)
    one_line(error, "another graph")
    splits = {"test": (graph["test"].triplets, None)}
    empty = KnowledgeGraph(graph.entities, graph.relations, splits)
    with pytest.raises(GraphError) as error:
        build_evidence(empty, kinds=("frequency",))
    one_line(error, "no training triplets")
    for kinds, part in (((), "no kind"), (("words",), "'words'"), (("text",), "needs a text model")):
        with pytest.raises(LassError) as error:
            build_evidence(graph, kinds=kinds)
        one_line(error, part)
    with pytest.raises(LassError) as error:
        evidence.bind(graph)
    one_line(error, "needs a text model")
    with pytest.raises(LassError) as error:
        evidence.bind(graph, scorer).score_candidates(*everything(graph)[:1], 1, np.arange(3), None)
    one_line(error, "slot 1")
    with pytest.raises(LassError) as error:
        refit_evidence(replace(evidence, kinds=("text",)), graph, [("rules",)], scorer)
    one_line(error, "rules")
    strange = replace(evidence, fusion=replace(evidence.fusion, features=("else", *evidence.fusion.features[1:])))
    with pytest.raises(LassError) as error:
        strange.bind(graph, scorer)
    one_line(error, "else")

"""Features of text, neighbors, frequency and structural vectors, compared with plain loops."""

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_processor, pooled
from helpers.structure import TEXTS, graph_with_tiger, random_vectors
from helpers.tiny import TRAIN, make_model, make_processor

from lass_hf.evidence.evidence_set import collect_evidence
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.structure.facts import Facts

FEATURES = ("text", "text_neighbors", "neighbors_text", "neighbors_neighbors", "vectors", "has_vector", "same_text")


def features_of(graph, model, processor, kinds, queries, slot):
    scorer = TripletScorer(model, processor.token_store(graph), "float32")
    evidence = collect_evidence(kinds, graph, Facts.from_graph(graph), scorer, vectors=random_vectors(graph))
    candidates = np.arange(graph.num_entities)
    mask = np.ones((len(queries), len(candidates)), dtype=bool)
    return dict(zip(evidence.features, evidence(queries, slot, candidates, mask), strict=True))


def neighbors_one_by_one(graph, entity) -> list[str]:
    """The distinct texts of the neighbors of an entity, but its own."""
    name, found = graph.entities.ids[entity], set()
    for head, _, tail in TRAIN:
        found |= {TEXTS[tail]} if head == name else set()
        found |= {TEXTS[head]} if tail == name else set()
    return sorted(found - {TEXTS[name]})


@pytest.mark.parametrize("slot", [0, 2])
@pytest.mark.parametrize("unit_length", [True, False])
def test_features_of_vectors_are_those_of_a_loop(unit_length, slot):
    graph = graph_with_tiger()
    model = make_model(architecture="bi-encoder", normalize=unit_length)
    processor = bi_encoder_processor(graph)
    queries = np.concatenate([graph[split].triplets for split in ("validation", "test")])
    found = features_of(graph, model, processor, ("text", "neighbors", "vectors"), queries, slot)
    assert set(found) == set(FEATURES)
    factor = model.distance_factor().item()
    vectors = random_vectors(graph)
    mean = vectors.entities[vectors.has_vector].astype(np.float64).mean(axis=0)

    def unit(vector):
        return vector / np.linalg.norm(vector) if unit_length else vector

    text_vectors = {text: unit(pooled(model, processor, (text, 3))[0]) for text in set(TEXTS.values())}

    def mean_of_neighbors(entity):
        texts = neighbors_one_by_one(graph, entity)
        return np.mean([text_vectors[text] for text in texts], axis=0) if texts else np.zeros(32)

    for row, (head, relation, tail) in enumerate(queries.tolist()):
        entity = head if slot == 2 else tail
        name = graph.relations.texts[relation]
        h, r = pooled(
            model, processor, (graph.entities.texts[entity], 1), (name if slot == 2 else f"inverse of {name}", 2)
        )
        u, n_u = unit(h + r), mean_of_neighbors(entity)
        query = vectors.entities[entity] * vectors.relations[relation + (graph.num_relations if slot == 0 else 0)]
        for candidate, text in enumerate(graph.entities.texts):
            t, n_t = text_vectors[text], mean_of_neighbors(candidate)
            has_both = vectors.has_vector[entity] and vectors.has_vector[candidate]
            expected = {
                "text": factor * (u @ t - t @ t / 2),
                "text_neighbors": factor * (u @ n_t),
                "neighbors_text": factor * (n_u @ t),
                "neighbors_neighbors": factor * (n_u @ n_t),
                "vectors": query @ (vectors.entities[candidate] - mean) if has_both else 0,
                "has_vector": has_both,
                "same_text": text == graph.entities.texts[entity],
            }
            for feature, value in expected.items():
                assert found[feature][row, candidate] == pytest.approx(float(value), rel=1e-3, abs=1e-3), feature


def test_frequencies_are_logarithms_of_counts():
    graph = graph_with_tiger()
    queries = graph["validation"].triplets
    evidence = collect_evidence(("frequency",), graph, Facts.from_graph(graph))
    candidates = np.array([3, 0, 7])
    features = evidence(queries, 0, candidates, np.ones((3, 3), dtype=bool))
    assert evidence.features == ("frequency", "same_text", "frequency_in_slot")
    for row, (_, relation, tail) in enumerate(queries.tolist()):
        for column, candidate in enumerate(candidates.tolist()):
            name = graph.entities.ids[candidate]
            in_slot = sum(h == name and r == graph.relations.ids[relation] for h, r, _ in TRAIN)
            degree = sum((h == name) + (t == name) for h, _, t in TRAIN)
            expected = [np.log1p(degree), float(candidate == tail), np.log1p(in_slot)]
            assert features[:, row, column] == pytest.approx(expected, abs=1e-6)


def test_a_cross_encoder_scores_only_what_the_mask_selects():
    graph = graph_with_tiger()
    model, processor = make_model(), make_processor(graph)
    scorer = TripletScorer(model, processor.token_store(graph), "float32")
    evidence = collect_evidence(("text",), graph, Facts.from_graph(graph), scorer)
    queries, mask = graph["test"].triplets, np.zeros((3, 11), dtype=bool)
    mask[1, 4] = True
    features = evidence(queries, 2, np.arange(11), mask)
    triplet = queries[1:2].copy()
    triplet[0, 2] = 4
    assert features[0, 1, 4] == scorer.score(triplet)[0]
    assert not features[0][~mask].any()

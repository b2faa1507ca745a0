"""What scores, ranks, metrics, predictions and masks are, against plain loops over random small graphs.

The models are tiny and real. Their scores come by hand from the encoder, one sequence after the other, in float64.
`pytest tests/robustness -s` prints how many checks were made; `--mutations 5000` makes more.
"""

from itertools import pairwise

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor, pooled, score_by_hand
from helpers.odd_graph import odd_graphs
from helpers.properties import for_all
from helpers.tiny import make_graph, make_model, make_processor
from hypothesis import strategies as st

from lass_hf import (
    LassPredictor,
    TripletScorer,
    evaluate_link_prediction,
    evaluate_triplet_classification,
    make_frequency_scorer,
)
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.training.in_batch_candidates import candidate_masks
from lass_hf.training.negative_sampling import NegativeSampler

TOLERANCE = 2e-4  # of float32 scores in batches
ARCHITECTURES = ("cross-encoder", "bi-encoder")


class ByHand:
    """A model, its processor, and its scores by hand, which are kept: the graphs share a few texts."""

    def __init__(self, architecture):
        self.is_bi_encoder = architecture == "bi-encoder"
        if self.is_bi_encoder:
            self.model, self.processor = bi_encoder_model(self_match_weight=0.0183156), bi_encoder_processor()
        else:
            self.model, self.processor = make_model(), make_processor(make_graph())
        self.scores = {}

    def score(self, graph, triplet, slot=None) -> float:
        """Scores a triplet; a bi-encoder asks for the tail, for the head, or, without a slot, for both."""
        head, relation, tail = triplet
        texts = graph.entities.texts[head], graph.relations.texts[relation], graph.entities.texts[tail]
        texts = tuple(text.lower() for text in texts)  # as the tokenizer does: what it reads the same is the same
        if texts not in self.scores:
            self.scores[texts] = self._score(*texts)
        directions = self.scores[texts]
        return directions[slot] if slot in directions else float(np.mean(list(directions.values())))

    def _score(self, *texts) -> dict[int, float]:
        if self.is_bi_encoder:
            return dict(zip((2, 0), score_by_hand(self.model, self.processor, *texts), strict=True))
        h, r, t = pooled(self.model, self.processor, *zip(texts, (1, 2, 3), strict=True))
        score = 7 - ((h + r - t) ** 2).sum() / np.sqrt(len(h)) / 2
        return {2: score, 0: score}


@pytest.fixture(scope="module")
def by_hand():
    return {architecture: ByHand(architecture) for architecture in ARCHITECTURES}


def rows_of(array):
    return [tuple(row) for row in array.tolist()]


def known_in(graph, *names):
    """The true triplets of some splits, by default of all."""
    return {row for name in names or graph.splits for row in rows_of(graph[name].positives)}


def put(triplet, slot, value):
    return (*triplet[:slot], value, *triplet[slot + 1 :])


# Scores


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_by_hand_for_each_batch_size_and_slot(architecture, by_hand, request):
    hand = by_hand[architecture]

    @for_all(request, 10, graph=odd_graphs(), budget=st.integers(1, 400), slot=st.sampled_from([0, 1, 2, None]))
    def check(graph, budget, slot):
        scorer = TripletScorer(hand.model, hand.processor.token_store(graph), "float32", token_budget=budget)
        triplets = np.concatenate([split.triplets for split in graph.splits.values()])
        expected = [hand.score(graph, triplet, slot) for triplet in rows_of(triplets)]
        np.testing.assert_allclose(scorer.score(triplets, slot), expected, rtol=0, atol=TOLERANCE)
        return len(triplets)


# Ranks


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ranks_are_filtered_fair_and_counted_as_a_plain_loop_does(architecture, by_hand, request):
    hand = by_hand[architecture]

    @for_all(request, 8, graph=odd_graphs())
    def check(graph):
        result = evaluate_link_prediction(hand.model, hand.processor, graph, dtype="float32", quiet=True)
        known, targets, texts = known_in(graph), rows_of(graph["test"].positives), graph.entities.texts
        occurring = {row[slot] for split in graph.splits.values() for row in rows_of(split.triplets) for slot in (0, 2)}
        found = zip(result.optimistic_ranks, result.pessimistic_ranks, result.num_candidates, strict=True)
        for slot, target in [(slot, target) for slot in (0, 2) for target in targets]:
            others = [value for value in occurring if put(target, slot, value) not in known]
            scores = np.array([hand.score(graph, put(target, slot, value), slot) for value in others])
            own = hand.score(graph, target, slot)
            low, high, count = next(found)
            assert 1 + (scores > own + TOLERANCE).sum() <= low <= high <= 1 + (scores >= own - TOLERANCE).sum()
            assert high - low >= sum(texts[value] == texts[target[slot]] for value in others)  # they are tied
            assert count == 1 + len(others)
        ranks = [(low + high) / 2 for low, high in zip(result.optimistic_ranks, result.pessimistic_ranks, strict=True)]
        metrics, count = result.metrics, len(ranks)
        assert metrics["mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / count)
        assert metrics["mr"] == pytest.approx(sum(ranks) / count)
        for k in (1, 3, 10):
            assert metrics[f"hits@{k}"] == pytest.approx(sum(rank <= k for rank in ranks) / count)
        expected = sum((int(size) + 1) / 2 for size in result.num_candidates) / count
        amri = 1 - (metrics["mr"] - 1) / (expected - 1) if expected > 1 else 0
        assert metrics["amri"] == pytest.approx(amri)
        return 3 * count + 6


# Predictions


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_predictions_are_the_best_of_all_candidates(architecture, by_hand, request):
    hand = by_hand[architecture]

    @for_all(
        request,
        8,
        graph=odd_graphs(),
        slot=st.sampled_from([0, 1, 2]),
        top_k=st.integers(1, 8),
        exclude_known=st.booleans(),
    )
    def check(graph, slot, top_k, exclude_known):
        hand.processor.graph = graph
        query, known = rows_of(graph["train"].triplets)[0], known_in(graph)
        names = [graph.entities, graph.relations, graph.entities]
        given = {name: names[i].ids[query[i]] for i, name in enumerate(("head", "relation", "tail")) if i != slot}
        predictor = LassPredictor(hand.model, hand.processor, dtype="float32")
        found = predictor.predict(**given, top_k=top_k, exclude_known=exclude_known)
        scores = {
            name: hand.score(graph, put(query, slot, value), slot)
            for value, name in enumerate(names[slot].ids)
            if not (exclude_known and put(query, slot, value) in known)
        }
        assert len(found) == min(top_k, len(scores))
        assert len({row.id for row in found}) == len(found)
        for row in found:
            assert abs(row.score - scores.pop(row.id)) < TOLERANCE
            assert row.known == (put(query, slot, names[slot].index[row.id]) in known)
        for better, worse in pairwise(found):
            order = [(-row.score, names[slot].index[row.id]) for row in (better, worse)]
            assert order[0] < order[1]
        assert all(left <= found[-1].score + TOLERANCE for left in scores.values()) if found else not scores
        return 3 * len(found) + 2


def test_a_reranked_prediction_has_both_scores_and_the_others_stay_below(by_hand, request):
    bi_encoder, cross_encoder = (by_hand[name] for name in ARCHITECTURES[::-1])

    @for_all(
        request,
        8,
        graph=odd_graphs(),
        slot=st.sampled_from([0, 2]),
        top_k=st.integers(1, 5),
        weight=st.sampled_from([0, 0.5, 3]),
    )
    def check(graph, slot, top_k, weight):
        bi_encoder.processor.graph = cross_encoder.processor.graph = graph
        query, index = rows_of(graph["train"].triplets)[0], graph.entities.index
        names = [graph.entities, graph.relations, graph.entities]
        given = {name: names[i].ids[query[i]] for i, name in enumerate(("head", "relation", "tail")) if i != slot}
        judge = LassPredictor(cross_encoder.model, cross_encoder.processor, dtype="float32")
        predictor = LassPredictor(
            *(bi_encoder.model, bi_encoder.processor, "float32"),
            **{"rerank": judge, "rerank_top_k": top_k, "retriever_weight": weight},
        )
        found = predictor.predict(**given, top_k=20, exclude_known=False)
        triplets = [put(query, slot, index[row.id]) for row in found]
        first = [bi_encoder.score(graph, triplet, slot) for triplet in triplets]
        fused = [
            cross_encoder.score(graph, triplet) + weight * score for triplet, score in zip(triplets, first, strict=True)
        ]
        expected = fused[:top_k] + first[top_k:]
        np.testing.assert_allclose([row.score for row in found], expected, atol=(1 + weight) * TOLERANCE, rtol=0)
        for part in (found[:top_k], found[top_k:]):
            assert [row.score for row in part] == sorted((row.score for row in part), reverse=True)
        assert len(found) == graph.num_entities
        if first[top_k:]:
            assert min(first[:top_k]) >= max(first[top_k:]) - TOLERANCE
        return len(found) + 4


# Classification


def test_thresholds_and_calibration_are_those_of_brute_force(by_hand, request):
    hand = by_hand["cross-encoder"]

    def accuracy(scores, labels, threshold):
        return float(np.mean((np.asarray(scores) > threshold) == (np.asarray(labels) == 1)))

    def best(scores, labels):
        values = sorted(set(scores))
        middles = [(low + high) / 2 for low, high in pairwise(values)]
        cuts = [values[0] - 1, *middles, values[-1] + 1]
        return max(accuracy(scores, labels, cut) for cut in cuts)

    @for_all(request, 8, graph=odd_graphs(labeled=True))
    def check(graph):
        result = evaluate_triplet_classification(hand.model, hand.processor, graph, dtype="float32", quiet=True)
        validation, test = graph["validation"], graph["test"]
        scores, fitted = result.scores.astype(np.float64), result.validation_scores.astype(np.float64)
        for split, values in ((test, scores), (validation, fitted)):
            expected = [hand.score(graph, triplet) for triplet in rows_of(split.triplets)]
            np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)
        overall = result.calibration.threshold
        assert accuracy(fitted, validation.labels, overall) == best(fitted, validation.labels)
        assert result.metrics["accuracy"] == pytest.approx(accuracy(scores, test.labels, overall))
        right = 0
        for (_, relation, _), score, label in zip(rows_of(test.triplets), scores, test.labels, strict=True):
            threshold = result.relation_thresholds.get(graph.relations.ids[relation], overall)
            right += (score > threshold) == (label == 1)
        assert result.metrics["per_relation_accuracy"] == pytest.approx(right / len(scores))
        for relation, threshold in result.relation_thresholds.items():
            rows = validation.triplets[:, 1] == graph.relations.index[relation]
            values, labels = fitted[rows], validation.labels[rows]
            assert accuracy(values, labels, threshold) == best(values, labels)
        bins = {}
        for score, label in zip(scores, test.labels, strict=True):
            platt = result.calibration.platt
            probability = (1 + np.tanh((platt.slope * score + platt.intercept) / 2)) / 2  # a sigmoid
            bins.setdefault(min(int(10 * probability), 9), []).append(probability - (label == 1))
        error = sum(abs(sum(differences)) for differences in bins.values()) / len(scores)
        assert result.metrics["ece_platt"] == pytest.approx(error, abs=1e-6)
        return len(scores) + len(fitted) + len(result.relation_thresholds) + 4


# Negatives, masks, counts: integers only


def test_negatives_are_never_known_and_never_the_positive(request):
    @for_all(
        request,
        20,
        graph=odd_graphs(),
        corruption=st.sampled_from(["each_slot", "head_or_tail", "tail"]),
        number=st.integers(1, 4),
        replacement=st.booleans(),
        pseudo_typed=st.booleans(),
        epoch=st.integers(0, 3),
    )
    def check(graph, corruption, number, replacement, pseudo_typed, epoch):
        choices = {"corruption": corruption, "replacement": replacement, "pseudo_typed": pseudo_typed}
        sampler = NegativeSampler(graph, number, seed=epoch, **choices)
        positives, known = graph["train"].triplets, known_in(graph, "train")
        drawn = sampler.corrupt(positives, epoch)
        for row, negative in zip(drawn.rows.tolist(), rows_of(drawn.triplets), strict=True):
            changed = [slot for slot in range(3) if negative[slot] != positives[row][slot]]
            assert negative not in known
            assert len(changed) == 1
            assert changed[0] in {"each_slot": (0, 1, 2), "head_or_tail": (0, 2), "tail": (2,)}[corruption]
        again = sampler.corrupt(positives[::-1], epoch)
        count = len(positives)
        flipped = {
            (count - 1 - row, negative)
            for row, negative in zip(again.rows.tolist(), rows_of(again.triplets), strict=True)
        }
        assert flipped == set(zip(drawn.rows.tolist(), rows_of(drawn.triplets), strict=True))
        return 3 * len(drawn.rows) + 1


def test_masks_of_in_batch_candidates_are_those_of_a_loop(request):
    @for_all(request, 20, graph=odd_graphs(), size=st.integers(1, 6))
    def check(graph, size):
        triplets, known = graph["train"].triplets[:size], known_in(graph, "train")
        candidates = np.unique(triplets[:, [0, 2]])
        index = KnownTriplets(graph["train"].positives, graph.num_entities, graph.num_relations)
        targets, false_negatives, self_matches = candidate_masks(index, triplets, candidates)
        queries = [(slot, triplet) for slot in (2, 0) for triplet in rows_of(triplets)]
        for row, (slot, triplet) in enumerate(queries):
            assert candidates[targets[row]] == triplet[slot]
            for column, value in enumerate(candidates.tolist()):
                is_true = put(triplet, slot, value) in known and value != triplet[slot]
                assert false_negatives[row, column] == is_true
                assert self_matches[row, column] == (value == triplet[2 - slot])
        return len(queries) * (1 + 2 * len(candidates))


def test_known_triplets_and_frequencies_are_those_of_sets(request):
    @for_all(request, 20, graph=odd_graphs())
    def check(graph):
        sizes = graph.num_entities, graph.num_relations, graph.num_entities
        every = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, 3)
        train = rows_of(graph["train"].positives)
        frequencies = {slot: make_frequency_scorer(graph)(every, slot) for slot in (0, 2)}
        for known, names in ((graph.known, graph.splits), (graph.known_in_train, ("train",))):
            expected = known_in(graph, *names)
            assert known.contains(every).tolist() == [row in expected for row in rows_of(every)]
            for slot in range(3):
                rows, values = known.values(slot, every)
                found = list(zip(rows.tolist(), values.tolist(), strict=True))
                triplets = list(enumerate(rows_of(every)))
                pairs = [
                    (i, value)
                    for i, row in triplets
                    for value in range(sizes[slot])
                    if put(row, slot, value) in expected
                ]
                assert found == pairs
                assert known.count(slot, every).sum() == len(pairs)
        for slot, counts in frequencies.items():
            for (head, relation, tail), count in zip(rows_of(every), counts.tolist(), strict=True):
                entity = (head, relation, tail)[slot]
                assert count == sum(row[1] == relation and row[slot] == entity for row in train)
        return 10 * len(every)

"""Signals of texts, against plain loops over the other triplets; ranks of answers, against sorted lists."""

import numpy as np
import pytest
from helpers.audits import ENTITIES, RELATIONS, random_facts, unit_vectors, without

from lass_hf.audit.neighbor_signals import simple_adjacency
from lass_hf.audit.text_signals import MOST_SIBLINGS, NEAREST, text_signals
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.structure.answer_ranks import rank_answers

VECTORS = unit_vectors()


def cosine(one, other):
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return one @ other / lengths if lengths > 1e-6 else np.nan


@pytest.mark.parametrize("seed", range(2))
def test_texts_are_compared_with_those_of_the_other_triplets(seed):
    facts = random_facts(seed)
    signals = text_signals(facts, VECTORS, simple_adjacency(facts))
    for number, (head, relation, tail) in enumerate(facts.triplets.tolist()):
        rest, v = sorted(without(facts, number)), VECTORS.astype(np.float64)
        same = [(h, t) for h, r, t in rest if r == relation]
        neighbors = {
            one: {h + t - one for h, _, t in facts.triplets.tolist() if one in (h, t) and h != t}
            for one in (head, tail)
        }
        of_head, of_tail = (
            v[sorted(neighbors[one] - ({other} if one != other else set()))].sum(axis=0)
            for one, other in ((head, tail), (tail, head))
        )
        heads, tails = (v[[pair[side] for pair in same]].mean(axis=0) for side in (0, 1))
        alike = sorted(min(v[head] @ v[h], v[tail] @ v[t]) for h, t in same)[-NEAREST:]
        expected = {
            "text_of_pair": v[head] @ v[tail],
            "tail_like_neighbors": cosine(of_head, v[tail]),
            "head_like_neighbors": cosine(of_tail, v[head]),
            "neighbors_alike": cosine(of_head, of_tail),
            "head_like_heads": cosine(v[head], heads),
            "tail_like_tails": cosine(v[tail], tails),
            "difference_like_others": cosine(v[tail] - v[head], tails - heads),
            "text_analogs": np.mean(alike),
        }
        siblings = {
            "tail": [v[tail] @ v[t] for h, t in same if h == head],
            "head": [v[head] @ v[h] for h, t in same if t == tail],
        }
        for side, cosines in siblings.items():
            assert len(cosines) <= MOST_SIBLINGS
            expected[f"{side}_like_siblings"] = np.mean(cosines) if cosines else np.nan
            expected[f"{side}_nearest_sibling"] = max(cosines, default=np.nan)
        for name, value in expected.items():
            assert signals[name][number] == pytest.approx(value, abs=1e-4, nan_ok=True), (name, number)


@pytest.mark.parametrize("slot", [0, 2])
def test_ranks_are_those_among_the_answers_that_are_not_known(slot):
    facts, rng = random_facts(), np.random.default_rng(1)
    table = rng.integers(0, 4, size=(RELATIONS, ENTITIES, ENTITIES)).astype(np.float32)  # Ties are frequent.
    known = KnownTriplets(facts.triplets, ENTITIES, RELATIONS)
    is_candidate = np.arange(ENTITIES) != 3
    ranks = rank_answers(
        lambda part: table[part[:, 1], part[:, 2 - slot]].copy(), facts.triplets, slot, known, is_candidate
    )
    for number, triplet in enumerate(facts.triplets.tolist()):
        scores = table[triplet[1], triplet[2 - slot]]
        others = []
        for candidate in np.flatnonzero(is_candidate).tolist():
            changed = list(triplet)
            changed[slot] = candidate
            if not known.contains(np.array([changed]))[0]:
                others.append(candidate)
        own = scores[triplet[slot]]
        assert ranks.ranks[number] == 1 + (scores[others] > own).sum() + (scores[others] == own).sum() / 2
        total = np.log(np.exp(scores[others]).sum() + np.exp(own))
        assert ranks.log_probabilities[number] == pytest.approx(own - total, abs=1e-5)
        assert ranks.best[number] in others
        assert scores[ranks.best[number]] == scores[others].max()
        assert ranks.best_log_probabilities[number] == pytest.approx(scores[others].max() - total, abs=1e-5)


def test_a_query_whose_answers_are_all_known_has_no_better_one():
    known = KnownTriplets(np.array([[0, 0, 0], [0, 0, 1]]), 2, 1)
    ranks = rank_answers(
        lambda part: np.zeros((len(part), 2), np.float32), known.triplets(), 2, known, np.ones(2, bool)
    )
    assert ranks.best.tolist() == [-1, -1]
    np.testing.assert_allclose(ranks.log_probabilities, 0)
    assert np.isnan(ranks.best_log_probabilities).all()

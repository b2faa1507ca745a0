"""Training of structural vectors: its loss by plain loops over triplets, the patterns that it learns, its choices."""

from itertools import product

import numpy as np
import pytest
import torch
from helpers.tiny import one_line

from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.structure.facts import Facts
from lass_hf.structure.structural_scores import STRUCTURAL_SCORES
from lass_hf.structure.vector_losses import QueryGroups, grouped_cross_entropy
from lass_hf.structure.vector_training import VectorChoices, train_structural_vectors

TRIPLETS = np.array([[0, 0, 1], [0, 0, 2], [3, 0, 1], [1, 1, 3], [0, 1, 2], [4, 1, 4]])
QUICK = {"dim": 16, "num_epochs": 20, "batch_size": 40, "regularization": 0.1, "relation_weight": 1}


def test_groups_hold_every_triplet_in_both_directions():
    groups = QueryGroups.from_triplets(TRIPLETS, 2)
    entities, relations, rows, answers = groups.select(torch.randperm(len(groups)))
    found = set(zip(entities[rows].tolist(), relations[rows].tolist(), answers.tolist(), strict=True))
    expected = {(h, r, t) for h, r, t in TRIPLETS.tolist()} | {(t, r + 2, h) for h, r, t in TRIPLETS.tolist()}
    assert found == expected
    assert len(rows) == 12
    assert len(groups) == len({pair[:2] for pair in expected})


def test_grouped_cross_entropy_is_that_of_each_triplet():
    torch.manual_seed(0)
    groups = QueryGroups.from_triplets(TRIPLETS, 2)
    *_, rows, answers = groups.select(torch.arange(len(groups)))
    queries = torch.randn(len(groups), 8, requires_grad=True)
    candidates = torch.randn(5, 8, requires_grad=True)
    loss = grouped_cross_entropy(queries, candidates, rows, answers)
    plain = sum(
        torch.nn.functional.cross_entropy(queries[row] @ candidates.T, answer)
        for row, answer in zip(rows, answers, strict=True)
    )
    torch.testing.assert_close(loss, plain)
    gradients = torch.autograd.grad(3 * loss, [queries, candidates])
    for gradient, expected in zip(gradients, torch.autograd.grad(3 * plain, [queries, candidates]), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_sampled_candidates_stand_for_those_that_were_not():
    """The expectation of the estimated sum over all candidates, over all samples there are, is the sum."""
    torch.manual_seed(0)
    query, entities = torch.randn(1, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    scores, chances = (query @ entities.T)[0], torch.linspace(0.3, 0.9, 6).double()
    row = answer = torch.tensor([0])  # The first entity is the answer, and always there.
    expectation = 0.0
    for others in product([False, True], repeat=5):
        is_sampled = torch.tensor([True, *others])
        log_chances = chances[is_sampled].log()
        loss = grouped_cross_entropy(query, entities[is_sampled], row, answer, log_chances, torch.float64)
        chance = torch.where(is_sampled, chances, 1 - chances)[1:].prod()
        expectation += chance * (loss + scores[0]).exp()  # The loss is the log of the sum less the answer's score.
    assert expectation == pytest.approx(scores.exp().sum().item())


def test_all_candidates_sampled_are_the_full_softmax():
    torch.manual_seed(0)
    queries, candidates = torch.randn(2, 4), torch.randn(5, 4)
    rows, answers = torch.tensor([0, 1, 1]), torch.tensor([3, 0, 4])
    full = grouped_cross_entropy(queries, candidates, rows, answers)
    torch.testing.assert_close(grouped_cross_entropy(queries, candidates, rows, answers, torch.zeros(5)), full)


def patterned_facts(score_function) -> tuple[Facts, np.ndarray]:
    """Families of relations that follow from each other; what follows is left out for the last families.

    Relation 0 is "next", 1 its inverse, 2 two steps of it, 3 symmetric. DistMult can learn the symmetric one alone.
    """
    triplets, left_out = [], []
    for a in range(0, 60, 3):
        b, c = a + 1, a + 2
        triplets += [(a, 0, b), (b, 0, c), (b, 1, a), (a, 3, c)]
        implied, symmetric = [(c, 1, b), (a, 2, c)], [(c, 3, a)]
        if score_function == "distmult":
            implied, symmetric = symmetric, implied
        triplets += symmetric
        (left_out if a >= 45 else triplets).extend(implied)
    return Facts.from_triplets(np.array(triplets), 62, 5), np.array(left_out)


@pytest.mark.parametrize(
    ("score_function", "num_candidates"), [*((name, 0) for name in STRUCTURAL_SCORES), ("complex", 9)]
)
def test_a_pattern_of_relations_is_learned(score_function, num_candidates):
    facts, left_out = patterned_facts(score_function)
    vectors = train_structural_vectors(facts, VectorChoices(score_function, num_candidates=num_candidates, **QUICK))
    for slot in (0, 2):
        scores = vectors.scores(left_out, slot, np.arange(60))
        targets = scores[np.arange(len(left_out)), left_out[:, slot]][:, None]
        assert np.median((scores > targets).sum(axis=1)) <= 2
    assert vectors.has_vector.tolist() == [True] * 60 + [False] * 2
    assert not vectors.entities[60:].any()
    assert vectors.has_relation.tolist() == [True] * 4 + [False] + [True] * 4 + [False]


def test_equal_seeds_give_equal_vectors():
    facts = Facts.from_triplets(TRIPLETS, 5, 2)
    choices = VectorChoices(dim=8, num_epochs=3, batch_size=3, num_candidates=2)
    one, same, other = (train_structural_vectors(facts, choices, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.entities, same.entities)
    np.testing.assert_array_equal(one.relations, same.relations)
    assert (one.entities != other.entities).any()


def test_threads_that_add_gradients_of_the_same_rows_give_equal_vectors():
    """Hundreds of queries share each relation, in arrays so large that torch gives each thread a part of them."""
    facts = Facts.from_triplets(np.random.default_rng(0).integers([600, 2, 600], size=(3000, 3)), 600, 2)
    choices = VectorChoices(dim=64, num_epochs=2, batch_size=1000, relation_weight=1)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first, *others = (train_structural_vectors(facts, choices, device="cpu").relations for _ in range(4))
    finally:
        torch.set_num_threads(before)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_minutes_end_the_training_and_the_learning_rate():
    shares = []
    choices = VectorChoices(dim=8, num_epochs=10**9, batch_size=1, minutes=0.002)
    train_structural_vectors(
        Facts.from_triplets(TRIPLETS, 5, 2), choices, on_progress=lambda share, loss: shares.append(share)
    )
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    assert len(shares) > 1


def test_the_size_of_a_graph_chooses_what_is_not_given():
    for num_entities, dim, num_candidates in ((100, 400, 0), (6000, 400, 2000), (300_000, 128, 2000)):
        entities = np.arange(num_entities)
        facts = Facts(np.stack([entities, 0 * entities, entities], axis=1), num_entities, 1)
        chosen = VectorChoices(num_epochs=3).for_facts(facts)
        assert (chosen.dim, chosen.num_candidates, chosen.num_epochs) == (dim, num_candidates, 3)
        assert None not in (chosen.regularization, chosen.relation_weight, chosen.batch_size)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 0}, "dim=0; expected at least 1"),
        ({"dim": 7}, "dim=7; expected an even number for complex"),
        ({"score_function": "sum"}, "score_function='sum'; expected one of complex"),
        ({"regularizer": "l1"}, "regularizer='l1'"),
        ({"regularization": float("nan")}, "regularization=nan"),
        ({"minutes": 0}, "minutes=0; expected a number above 0"),
        ({"num_epochs": 0}, "num_epochs=0"),
    ],
)
def test_wrong_choices_are_one_line(given, message):
    with pytest.raises(LassError) as error:
        VectorChoices(**given)
    one_line(error, message)


def test_no_triplets_are_one_line():
    with pytest.raises(LassError) as error:
        train_structural_vectors(Facts.from_triplets(np.empty((0, 3), int), 5, 2))
    one_line(error, "no training triplets")


def test_a_training_that_diverges_is_one_line():
    with pytest.raises(NonFiniteError) as error:
        train_structural_vectors(Facts.from_triplets(TRIPLETS, 5, 2), VectorChoices(dim=8, learning_rate=1e30))
    one_line(error, "diverged", "learning_rate=1e+30")

"""Signals of structural vectors that are trained out of fold: each triplet is judged by vectors that never saw it."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..scoring.step_progress import StepProgress
from ..structure.answer_ranks import AnswerRanks, rank_by_vectors
from ..structure.facts import Facts
from ..structure.vector_training import VectorChoices, train_structural_vectors

# Called with the share of the work that is done.
OnProgress = Callable[[float], None]


def ranks_out_of_fold(
    facts: Facts,
    known: KnownTriplets,
    num_folds: int,
    choices: VectorChoices,
    seed: int = 42,
    on_progress: OnProgress | None = None,
    progress: StepProgress | None = None,
) -> list[AnswerRanks]:
    """Ranks the triplets of facts in all slots, by vectors trained on the other folds.

    Args:
        facts: The facts.
        known: The same triplets as an index.
        num_folds: The number of folds, 2 or more.
        choices: How vectors are trained.
        seed: Seed of the folds and of the training.
        on_progress: Is called now and then.
        progress: Keeps each fold that is finished.

    Returns:
        The ranks for the slots 0, 1 and 2, in the order of the facts.
    """
    triplets, progress = facts.triplets, progress or StepProgress()
    folds = np.random.default_rng(seed).permutation(len(triplets)) % num_folds
    ranks = [AnswerRanks.unknown(len(triplets)) for _ in range(3)]
    for fold in range(num_folds):
        held_out = np.flatnonzero(folds == fold)
        others = Facts(triplets[folds != fold], facts.num_entities, facts.num_relations)
        if not len(held_out) or not len(others.triplets):
            continue

        def judge(fold: int = fold, others: Facts = others, held_out: np.ndarray = held_out) -> dict[str, np.ndarray]:
            def tell(share: float, _: float) -> None:
                if on_progress is not None:
                    on_progress((fold + share) / num_folds)

            vectors = train_structural_vectors(others, choices, seed=seed + fold, on_progress=tell)
            found: dict[str, np.ndarray] = {}
            for slot in (0, 1, 2):
                ranked, rows = rank_by_vectors(vectors, triplets[held_out], slot, known)
                found |= {f"{slot}_{name}": values for name, values in [*vars(ranked).items(), ("rows", rows)]}
            return found

        found = progress.run(f"vectors-{fold}", judge)
        for slot in (0, 1, 2):
            ranked = AnswerRanks(*(found[f"{slot}_{one.name}"] for one in fields(AnswerRanks)))
            ranks[slot].put(held_out[found[f"{slot}_rows"]], ranked)
    return ranks


def vector_signals(answers: list[AnswerRanks]) -> dict[str, np.ndarray]:
    """Returns the signals that ranks out of fold give, float32 of shape (n,) each.

    Args:
        answers: The ranks for the slots 0, 1 and 2.
    """
    head, relation, tail = answers
    return {
        "vectors_tail": tail.log_probabilities,
        "vectors_tail_rank": -np.log(tail.ranks),
        "vectors_head": head.log_probabilities,
        "vectors_head_rank": -np.log(head.ranks),
        "vectors_relation": relation.log_probabilities,
    }

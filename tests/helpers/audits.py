"""Small random graphs with loops, mirrors and functional relations, for the tests of audits."""

import numpy as np

from lass_hf.structure.facts import Facts

ENTITIES, RELATIONS = 14, 3


def random_facts(seed=0, count=70) -> Facts:
    """Relation 0 is mostly symmetric, relation 1 has mostly one tail for each head, and relation 2 is anything."""
    rng = np.random.default_rng(seed)
    triplets = rng.integers([ENTITIES, RELATIONS, ENTITIES], size=(count, 3))
    mirrored = triplets[(triplets[:, 1] == 0) & (rng.random(count) < 0.8)][:, ::-1]
    one_tail = triplets[triplets[:, 1] == 1]
    one_tail[:, 2] = one_tail[:, 0] // 2
    some = np.concatenate([triplets[triplets[:, 1] != 1], mirrored, one_tail[:-3], triplets[triplets[:, 1] == 1][-3:]])
    return Facts.from_triplets(some, ENTITIES, RELATIONS)


def without(facts: Facts, position: int) -> set[tuple[int, int, int]]:
    """All facts but one, as tuples."""
    return {tuple(one) for one in np.delete(facts.triplets, position, axis=0).tolist()}


def unit_vectors(seed=0, count=ENTITIES, dim=6) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

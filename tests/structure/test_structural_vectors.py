"""Structural vectors: their scores by complex arithmetic in plain loops, and their file."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.structure.structural_scores import STRUCTURAL_SCORES
from lass_hf.structure.structural_vectors import StructuralVectors

RELATIONS, ENTITIES, DIM = 3, 7, 6


def some_vectors(score_function) -> StructuralVectors:
    """Random vectors of 7 entities and 3 relations. Entity 5 has none, and neither has relation 2."""
    draw = np.random.default_rng(0).normal
    entities, relations = draw(size=(ENTITIES, DIM)), draw(size=(2 * RELATIONS, DIM))
    if score_function == "rotation":
        angles = draw(size=(2 * RELATIONS, DIM // 2))
        relations = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    entities[5], relations[[2, 5]] = 0, 0
    has_vector = np.arange(ENTITIES) != 5
    return StructuralVectors(score_function, entities.astype(np.float32), relations.astype(np.float32), has_vector)


def plain_score(score_function, head, relation, tail) -> float:
    """The published formula, number by number; translation without |h + r|², the same for all tails."""
    if score_function == "distmult":
        return sum(h * r * t for h, r, t in zip(head, relation, tail, strict=True))
    if score_function == "translation":
        distance = sum((h + r - t) ** 2 for h, r, t in zip(head, relation, tail, strict=True))
        return -distance + sum((h + r) ** 2 for h, r in zip(head, relation, strict=True))
    half = len(head) // 2
    head, relation, tail = ([complex(v[i], v[i + half]) for i in range(half)] for v in (head, relation, tail))
    return sum((h * r * t.conjugate()).real for h, r, t in zip(head, relation, tail, strict=True))


@pytest.mark.parametrize("score_function", STRUCTURAL_SCORES)
@pytest.mark.parametrize("slot", [0, 2])
def test_scores_are_the_published_formula(score_function, slot):
    vectors = some_vectors(score_function)
    queries = np.array([[0, 0, 1], [3, 1, 3], [6, 0, 2]])
    candidates = np.array([4, 0, 6])
    scores = vectors.scores(queries, slot, candidates)
    for query, row in zip(queries, scores, strict=True):
        relation = vectors.relations[query[1] + (RELATIONS if slot == 0 else 0)].tolist()
        for candidate, score in zip(candidates, row, strict=True):
            known, asked = vectors.entities[query[2 - slot]].tolist(), vectors.entities[candidate].tolist()
            assert score == pytest.approx(plain_score(score_function, known, relation, asked), abs=1e-5)


@pytest.mark.parametrize("score_function", STRUCTURAL_SCORES)
def test_scores_are_inner_products_and_zero_without_a_vector(score_function):
    vectors = some_vectors(score_function)
    queries = np.array([[0, 0, 1], [5, 0, 1], [0, 2, 1]])
    products = vectors.query_vectors(queries, 2) @ vectors.candidate_vectors().T
    np.testing.assert_allclose(vectors.scores(queries, 2, np.arange(ENTITIES)), products, atol=1e-5)
    assert products.dtype == np.float32
    assert not products[1:].any()  # an entity and a relation without facts
    assert not products[:, 5].any()
    assert products[0, :5].all()


@pytest.mark.parametrize("score_function", STRUCTURAL_SCORES)
def test_a_pair_is_a_query_for_its_relation(score_function):
    vectors, score = some_vectors(score_function), STRUCTURAL_SCORES[score_function]
    from torch import from_numpy as tensor

    heads, tails = vectors.entities[[0, 3]], vectors.entities[[1, 4]]
    scores = score.pair(tensor(heads), tensor(tails)) @ score.as_candidate(tensor(vectors.relations)).T
    for head, tail, row in zip(heads, tails, scores.tolist(), strict=True):
        plain = [plain_score(score_function, head, relation, tail) for relation in vectors.relations]
        if score_function == "translation":  # Its score for relations is without |h - t|² in place of |h + r|².
            plain = [-((head + relation - tail) ** 2).sum() + ((head - tail) ** 2).sum() for relation in vectors.relations]
        np.testing.assert_allclose(row, plain, atol=1e-5)


def test_a_file_holds_the_vectors(tmp_path):
    vectors = some_vectors("rotation")
    vectors.save(tmp_path / "vectors.safetensors")
    read = StructuralVectors.load(tmp_path / "vectors.safetensors")
    assert read.score_function == "rotation"
    for name in ("entities", "relations", "has_vector"):
        np.testing.assert_array_equal(getattr(read, name), getattr(vectors, name))


def test_a_damaged_file_is_one_line(tmp_path):
    file, vectors = tmp_path / "vectors.safetensors", some_vectors("complex")
    with pytest.raises(LassError) as error:
        StructuralVectors.load(file)
    one_line(error, str(file), "no such file")
    file.write_bytes(b"no safetensors")
    with pytest.raises(LassError) as error:
        StructuralVectors.load(file)
    one_line(error, str(file), "no structural vectors")
    damages = {
        "score function 'sum'": {"score_function": "sum"},
        "NaN": {"entities": np.full_like(vectors.entities, np.nan)},
        "a bool for each entity": {"has_vector": vectors.has_vector[1:]},
        "even numbers": {"relations": vectors.relations[1:]},
        "float32": {"relations": vectors.relations.astype(np.float64)},
    }
    for message, damage in damages.items():
        replace(vectors, **damage).save(file)
        with pytest.raises(LassError) as error:
            StructuralVectors.load(file)
        one_line(error, str(file), "damaged", message)

"""A small graph with texts that repeat, and random structural vectors of it."""

import numpy as np

from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION
from lass_hf import KnowledgeGraph
from lass_hf.structure.structural_vectors import StructuralVectors

# "milk" occurs in no training triplet, and "tiger" has the text of "cat" and no triplets at all.
TEXTS = ENTITY_TEXT | {"tiger": ENTITY_TEXT["cat"]}


def graph_with_tiger() -> KnowledgeGraph:
    return KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=TEXTS, relation_text=RELATION_TEXT)


def random_vectors(graph) -> StructuralVectors:
    rng = np.random.default_rng(5)
    has_vector = graph.occurs_in_train()[0]
    entities = rng.normal(size=(graph.num_entities, 4)).astype(np.float32) * has_vector[:, None]
    relations = rng.normal(size=(2 * graph.num_relations, 4)).astype(np.float32)
    return StructuralVectors("distmult", entities, relations, has_vector)

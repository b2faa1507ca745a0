"""All evidence of one graph: what was found and trained, and the weights by which it becomes one score."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.triplet_scorer import TripletScorer
from ..structure.facts import Facts
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..utils.fingerprints import digest
from .bound_evidence import BoundEvidence
from .fusion import Fusion
from .renumbering import renumber_fusion, renumber_rules, renumber_vectors


@dataclass(frozen=True)
class FusedEvidence:
    """What is saved beside a model, or without any model, in a folder `evidence/`.

    Attributes:
        kinds: The kinds of evidence that count, of `evidence.KINDS`.
        fusion: The fitted weights.
        rules: The rules, or None.
        vectors: The structural vectors, or None.
        facts_fingerprint: The fingerprint of the training triplets that all this was made of.
        model_fingerprint: The fingerprint of the text model; None without text.
        entity_ids: The ids of the entities that the numbers in `rules` and `vectors` mean.
        relation_ids: The ids of the relations.
        fitted_on: What the weights were fitted on: `split`, and the `seed` of the choice of queries.
        text_mrr: The MRR that `Fusion.held_out_mrr` is to be compared with: of text alone. None without text.
        seconds: How long it took to find "rules", to train "vectors" and to "fit" the weights.
    """

    kinds: tuple[str, ...]
    fusion: Fusion
    rules: RuleSet | None
    vectors: StructuralVectors | None
    facts_fingerprint: str
    model_fingerprint: str | None
    entity_ids: list[str]
    relation_ids: list[str]
    fitted_on: dict[str, str | int] = field(default_factory=dict)
    text_mrr: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def bind(
        self,
        graph: KnowledgeGraph,
        scorer: TripletScorer | None = None,
        index_folder: str | Path | None = None,
        shared: bool = True,
    ) -> BoundEvidence:
        """Makes the evidence ready to score candidates of a graph.

        Args:
            graph: The graph. Its training triplets are the facts, which may be more than those that it was made of, and
                so may be its entities.
            scorer: The scorer of the text model over the graph's texts; None where `kinds` have no text.
            index_folder: The folder that keeps the entity vectors of a bi-encoder.
            shared: Whether several processes, which must all call this method, share the encoding of entities.

        Returns:
            The evidence, which scores candidates.

        Raises:
            GraphError: The evidence is that of another graph, or the graph has no training triplets.
            LassError: The evidence needs a text model and there is none.
        """
        own = self.renumber(graph)
        return BoundEvidence(own.kinds, own.fusion, own.rules, own.vectors, graph, scorer, index_folder, shared)

    def renumber(self, graph: KnowledgeGraph) -> "FusedEvidence":
        """Returns the evidence with the numbers that entities and relations have in a graph.

        Args:
            graph: The graph. Its entities that are new have no vector.

        Raises:
            GraphError: The graph has none of the entities, or none of the relations.
        """
        entities, relations = graph.entities.ids, graph.relations.ids
        if (self.entity_ids, self.relation_ids) == (entities, relations):
            return self
        number_of_entity = self._numbers(self.entity_ids, entities)
        number_of_relation = self._numbers(self.relation_ids, relations)
        rules, vectors = self.rules, self.vectors
        if rules is not None:
            rules = renumber_rules(rules, number_of_entity, number_of_relation, len(relations))
        if vectors is not None:
            vectors = renumber_vectors(vectors, number_of_entity, number_of_relation, len(entities), len(relations))
        return replace(
            self,
            fusion=renumber_fusion(self.fusion, number_of_relation, len(relations)),
            rules=rules,
            vectors=vectors,
            entity_ids=list(entities),
            relation_ids=list(relations),
        )

    def was_made_of_other_facts(self, graph: KnowledgeGraph) -> bool:
        """Returns whether a graph has other training triplets, in whatever order and numbers.

        Args:
            graph: The graph.
        """
        return self.facts_fingerprint != facts_fingerprint(graph)

    def _numbers(self, own: list[str], ids: list[str]) -> np.ndarray:
        """Returns the number that each id has among others, -1 for none: int64."""
        number_of = {name: number for number, name in enumerate(ids)}
        numbers = np.array([number_of.get(name, -1) for name in own], dtype=np.int64)
        if (numbers < 0).all():
            raise GraphError(
                f"the evidence is that of another graph, with {len(self.entity_ids):,} entities such as "
                f"{self.entity_ids[0]!r} and relations such as {self.relation_ids[0]!r}, none of which this graph has: "
                "add evidence for this graph"
            )
        return numbers


def facts_fingerprint(graph: KnowledgeGraph) -> str:
    """Returns the fingerprint of the distinct true training triplets of a graph, as ids.

    It does not depend on the order of triplets, entities and relations, nor on those that no training triplet has.

    Args:
        graph: The graph.
    """
    triplets = Facts.from_graph(graph).triplets
    entities, ends = _number_by_name(triplets[:, [0, 2]], graph.entities.ids)
    relations, middle = _number_by_name(triplets[:, 1], graph.relations.ids)
    facts = Facts.from_triplets(np.insert(ends, 1, middle, axis=1), len(entities), len(relations))
    return digest([json.dumps([entities, relations]).encode(), facts.triplets])


def _number_by_name(numbers: np.ndarray, ids: list[str]) -> tuple[list[str], np.ndarray]:
    """Returns the ids of numbers in alphabetical order, and for each number the place of its id among them."""
    is_used = np.zeros(len(ids), dtype=bool)
    is_used[numbers] = True
    used = np.array(sorted(np.flatnonzero(is_used).tolist(), key=ids.__getitem__), dtype=np.int64)
    places = np.empty(len(ids), dtype=np.int64)
    places[used] = np.arange(len(used))
    return [ids[number] for number in used.tolist()], places[numbers]

"""The token store: every text of a graph is tokenized once, and array operations make sequences of the token ids.

A sequence is `[B] head [S] relation [S] tail [S]` (paper, section 2.1), or `[B] head relation tail [S]` without
separators (the published code's default). Its row is (entity, relation, entity), with -1 for a segment that it does not
have: a cross-encoder's row is a triplet, a bi-encoder's query is (entity, relation, -1), and its candidate is
(-1, -1, entity).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import torch

from .knowledge_graph import KnowledgeGraph
from .known_triplets import KnownTriplets
from .neighbor_names import NeighborNames

HEAD, RELATION, TAIL = 1, 2, 3  # The segment ids. 0 is that of special tokens and padding.


@dataclass(frozen=True)
class SequenceTemplate:
    """The form of a sequence.

    Attributes:
        begin: Token id of [B].
        separator: Token id of [S].
        padding: Token id of padding.
        separators: Whether a separator follows each segment, and not only the last one.
        max_length: The longest length of a sequence in tokens, special tokens included.
        architecture: "cross-encoder" or "bi-encoder".
    """

    begin: int
    separator: int
    padding: int
    separators: bool
    max_length: int
    architecture: str = "cross-encoder"

    def num_special(self, segments):
        """Returns the number of special tokens of a sequence.

        Args:
            segments: The number of segments, an int or an array of them.

        Returns:
            An int, or an array of the same shape.
        """
        return 1 + (segments if self.separators else 1)


@dataclass(frozen=True)
class TokenStore:
    """The token ids of names of neighbors, of all relations, and of all entities, in one flat array.

    Relation r is text r, and entity e is text `num_relations + e`. Names of neighbors can follow the text of an entity:
    never that of the entity at the other end of its sequence, and none that a training leaves out.

    Attributes:
        template: The form of a sequence.
        num_relations: The number of relations. For a bi-encoder, the second half are the inverses of the first.
        tokens: Int32: the token ids of all names of neighbors and of all texts, one after the other.
        offsets: Int64 of shape (texts + 1,): text i is `tokens[offsets[i] : offsets[i + 1]]`.
        neighbors: The names of neighbors; None if no text is followed by any.
    """

    template: SequenceTemplate
    num_relations: int
    tokens: np.ndarray
    offsets: np.ndarray
    neighbors: NeighborNames | None = None

    @classmethod
    def from_chunks(
        cls, template: SequenceTemplate, relations: list[list[int]], entities: Iterable[list[list[int]]]
    ) -> "TokenStore":
        """Makes a store of entities that come in chunks, so that only one chunk is in memory as lists.

        Args:
            template: The form of a sequence.
            relations: The token ids of each relation.
            entities: The token ids of each entity of a chunk, for all chunks.

        Returns:
            The store.
        """
        return cls(template, len(relations), *_flatten(chain([relations], entities)))

    def with_neighbors(
        self, names: Iterable[list[list[int]]], of_entities: np.ndarray, chosen: np.ndarray
    ) -> "TokenStore":
        """Returns a store whose texts of entities are followed by names of neighbors.

        Args:
            names: The token ids of each name of a chunk, for all chunks.
            of_entities: As in `NeighborNames`.
            chosen: As in `NeighborNames`.

        Returns:
            Another store.
        """
        tokens, offsets = _flatten(names)
        neighbors = NeighborNames(of_entities, chosen, offsets)
        every = np.concatenate([tokens, self.tokens])
        return replace(self, tokens=every, offsets=len(tokens) + self.offsets, neighbors=neighbors)

    def with_entities(self, entities: list[list[int]]) -> "TokenStore":
        """Returns a store with more entities, which have no neighbors, after its own.

        Args:
            entities: The token ids of each new entity.

        Returns:
            Another store.
        """
        tokens, offsets = _flatten([entities])
        return replace(
            self,
            tokens=np.concatenate([self.tokens, tokens]),
            offsets=np.concatenate([self.offsets, self.offsets[-1] + offsets[1:]]),
            neighbors=self.neighbors and self.neighbors.pad(len(entities)),
        )

    @property
    def num_entities(self) -> int:
        """The number of entities."""
        return len(self.offsets) - 1 - self.num_relations

    @cached_property
    def first_with_same_text(self) -> tuple[np.ndarray, np.ndarray]:
        """The first entity with the same tokens, for each entity, and the same for relations: two int64 arrays.

        A text model gives the same vector to texts with the same tokens, if the same neighbors follow them.
        """
        relations = _first_of_same(self.tokens, self.offsets[: self.num_relations + 1])
        entities = _first_of_same(self.tokens, self.offsets[self.num_relations :])
        if self.neighbors is not None and len(entities):
            read = np.column_stack([entities.astype(np.int32), self.neighbors.chosen])
            entities = _first_of_same(read.ravel(), read.shape[1] * np.arange(len(read) + 1))
        return entities, relations

    @cached_property
    def largest_token(self) -> int:
        """The largest token id of its sequences."""
        template = self.template
        return max(int(self.tokens.max(initial=0)), template.begin, template.separator, template.padding)

    @cached_property
    def shares_texts(self) -> bool:
        """Whether some entities, or some relations, have the same tokens."""
        return any((first != np.arange(len(first))).any() for first in self.first_with_same_text)

    def canonical_triplets(self, triplets: np.ndarray) -> np.ndarray:
        """Replaces the entities and relations of triplets by the first one with the same text.

        Args:
            triplets: Int of shape (n, 3).

        Returns:
            Other triplets, of the same shape. A text model gives them the same scores.
        """
        entity, relation = self.first_with_same_text
        return np.stack([entity[triplets[:, 0]], relation[triplets[:, 1]], entity[triplets[:, 2]]], axis=1)

    def known_in_train(self, graph: KnowledgeGraph) -> KnownTriplets:
        """Makes an index of the true training triplets as `canonical_triplets`: what reads the same is the same.

        Args:
            graph: The graph whose texts the store holds.

        Returns:
            The index.
        """
        if not self.shares_texts or "train" not in graph:
            return graph.known_in_train
        return KnownTriplets(self.canonical_triplets(graph["train"].positives), graph.num_entities, graph.num_relations)

    def queries(self, triplets: np.ndarray, slot: int) -> np.ndarray:
        """Returns the rows of queries of a bi-encoder.

        Args:
            triplets: Int of shape (n, 3). Their values in `slot` are ignored.
            slot: 2 for queries (head, relation), 0 for queries (tail, inverse relation).

        Returns:
            Int64 of shape (n, 3).
        """
        rows = np.full((len(triplets), 3), -1, dtype=np.int64)
        rows[:, 0] = triplets[:, 2 - slot]
        rows[:, 1] = triplets[:, 1] + (0 if slot == 2 else self.num_relations // 2)
        return rows

    def candidates(self, entities: np.ndarray) -> np.ndarray:
        """Returns the rows of entities as candidates of a bi-encoder.

        Args:
            entities: Int of shape (n,).

        Returns:
            Int64 of shape (n, 3).
        """
        rows = np.full((len(entities), 3), -1, dtype=np.int64)
        rows[:, 2] = entities
        return rows

    def _segments(
        self, rows: np.ndarray, left_out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns the parts of the segments, and of each segment its truncated length and whether it is present.

        A segment is its text, then names of P - 1 neighbors. The parts are their starts in `tokens` and their lengths,
        before segments are truncated, each of shape (n, 3, P); the others have shape (n, 3).
        """
        present = rows >= 0
        texts = np.where(present, rows + np.array([self.num_relations, 0, self.num_relations]), 0)
        starts = self.offsets[texts]
        parts = np.where(present, self.offsets[texts + 1] - starts, 0)[..., None]
        starts = starts[..., None]
        if self.neighbors is not None:
            names = self.neighbors.read_in(rows, left_out)
            offsets = self.neighbors.offsets
            name_lengths = np.where(names >= 0, offsets[names + 1] - offsets[names], 0)
            starts = np.concatenate([starts, offsets[names]], axis=2)
            parts = np.concatenate([parts, name_lengths], axis=2)
        budget = self.template.max_length - self.template.num_special(present.sum(axis=1))
        return starts, parts, truncate(parts.sum(axis=2), budget), present

    def lengths(self, rows: np.ndarray, left_out: np.ndarray | None = None) -> np.ndarray:
        """Returns the lengths of sequences in tokens, special tokens included.

        Args:
            rows: Int of shape (n, 3).
            left_out: As in `assemble`.

        Returns:
            Int64 of shape (n,).
        """
        *_, lengths, present = self._segments(rows, left_out)
        return lengths.sum(axis=1) + self.template.num_special(present.sum(axis=1))

    def assemble(self, rows: np.ndarray, left_out: np.ndarray | None = None) -> dict[str, torch.Tensor]:
        """Makes sequences, padded to the longest of them, which has L tokens.

        Args:
            rows: Int of shape (n, 3), such as triplets.
            left_out: Entities that are not named as neighbors, besides the two of a row itself: int of shape (m,).

        Returns:
            Int64 tensors of shape (n, L): `input_ids`, `attention_mask` (1 for tokens, 0 for padding) and `segment_ids`
            (0 special or padding, 1 head, 2 relation, 3 tail).
        """
        starts, parts, lengths, present = self._segments(rows, left_out)
        template, count = self.template, len(rows)
        # A separator follows each segment, or one follows all of them.
        gaps = present.astype(np.int64) if template.separators else np.zeros((1, 3), dtype=np.int64)
        ends = 1 + np.cumsum(lengths + gaps, axis=1) - gaps  # The position behind each segment.
        total = lengths.sum(axis=1) + template.num_special(present.sum(axis=1))
        width = int(total.max(initial=0))
        input_ids = np.full((count, width), template.padding, dtype=np.int64)
        segment_ids = np.zeros_like(input_ids)
        input_ids[:, :1] = template.begin
        first = np.arange(count) * width  # The start of each row in one flat array of all rows.
        flat_ids, flat_segments = input_ids.reshape(-1), segment_ids.reshape(-1)
        if template.separators:
            flat_ids[(first[:, None] + ends)[present]] = template.separator
        else:
            flat_ids[first + total - 1] = template.separator
        # All parts of all segments are copied together: each token has a source and a target position.
        before = np.cumsum(parts, axis=2) - parts  # The tokens of the segment before each part.
        parts = np.clip(lengths[..., None] - before, 0, parts)
        targets = (first[:, None] + ends - lengths)[..., None] + before
        used = np.flatnonzero(parts)
        flat = parts.ravel()[used]
        within = np.arange(flat.sum()) - np.repeat(np.cumsum(flat) - flat, flat)
        source = np.repeat(starts.ravel()[used], flat) + within
        target = np.repeat(targets.ravel()[used], flat) + within
        flat_ids[target] = self.tokens[source]
        flat_segments[target] = np.repeat(used // parts.shape[2] % 3 + HEAD, flat)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy((np.arange(width) < total[:, None]).astype(np.int64)),
            "segment_ids": torch.from_numpy(segment_ids),
        }


def truncate(lengths: np.ndarray, budget: np.ndarray | int) -> np.ndarray:
    """Cuts the lengths of segments so that each row sums to a budget at most.

    The longest segment of a row is shortened first, as the "longest_first" of tokenizers does, and no segment to
    nothing. Segments that are cut come out equal within one token, the earlier one longer.

    Args:
        lengths: Int of shape (n, 3).
        budget: The largest sum of a row, at least 3: one number, or int of shape (n,).

    Returns:
        Int of shape (n, 3).
    """
    over = lengths.sum(axis=1) > budget
    if not over.any():
        return lengths
    budget = np.broadcast_to(budget, len(lengths))[over, None]
    rows = np.sort(lengths[over], axis=1)
    shorter = np.cumsum(rows, axis=1) - rows  # The sum of the segments that are shorter than each one.
    level = ((budget - shorter) // np.array([3, 2, 1])).max(axis=1, keepdims=True)
    cut = np.minimum(lengths[over], level)
    left = budget - cut.sum(axis=1, keepdims=True)
    longer = lengths[over] > level
    result = lengths.copy()
    result[over] = cut + (longer & (np.cumsum(longer, axis=1) <= left))
    return result


def _first_of_same(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Returns for each part `values[offsets[i] : offsets[i + 1]]` the first part that is equal, int64."""
    content, ends = np.ascontiguousarray(values).tobytes(), (values.itemsize * offsets).tolist()
    seen: dict[bytes, int] = {}
    parts = (content[start:end] for start, end in pairwise(ends))
    first = (seen.setdefault(part, number) for number, part in enumerate(parts))
    return np.fromiter(first, dtype=np.int64, count=len(ends) - 1)


def _flatten(chunks: Iterable[list[list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tokens of all texts of all chunks, int32, and the offsets of texts, int64 of shape (texts + 1,)."""
    tokens, lengths = [], [np.zeros(1, dtype=np.int64)]
    for texts in chunks:
        lengths.append(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
        tokens.append(np.fromiter(chain.from_iterable(texts), dtype=np.int32, count=int(lengths[-1].sum())))
    return np.concatenate(tokens), np.cumsum(np.concatenate(lengths))

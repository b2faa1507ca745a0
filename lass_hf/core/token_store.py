"""Every text of a graph tokenized once, and sequences put together from it by array operations.

It knows token ids and lengths, not strings and not models. A sequence is `[B] head [S] relation [S] tail [S]` (paper,
section 2.1), or `[B] head relation tail [S]` without separators (the published code's default). Rows are int arrays of
shape (n, 3): entity, relation, entity, and -1 for a segment that is not there. With a bi-encoder a query is the
row (entity, relation, -1) and an answer (-1, -1, entity).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import torch

from .errors import ModelError

HEAD, RELATION, TAIL = 1, 2, 3  # segment ids; 0 is a special token or padding


@dataclass(frozen=True)
class SequenceTemplate:
    """The special tokens of a sequence, and its longest length in tokens, special tokens included."""

    begin: int
    separator: int
    padding: int
    separators: bool
    max_length: int
    architecture: str = "cross-encoder"

    def num_special(self, segments):
        """Special tokens of a sequence of so many segments (an int, or an array of them)."""
        return 1 + (segments if self.separators else 1)


@dataclass(frozen=True)
class TokenStore:
    """Token ids of all relations, then all entities, in one flat array.

    `tokens`: int32, all texts after each other; `offsets`: int64, text i is `tokens[offsets[i]:offsets[i + 1]]`;
    relation r is text r, entity e is text `num_relations + e`. With a bi-encoder the second half of the relations
    are the inverses of the first.
    """

    template: SequenceTemplate
    num_relations: int
    tokens: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_lists(
        cls, template: SequenceTemplate, relations: list[list[int]], entities: list[list[int]]
    ) -> "TokenStore":
        """Makes a store from the token ids of each relation, and of each entity."""
        return cls.from_chunks(template, relations, [entities])

    @classmethod
    def from_chunks(
        cls, template: SequenceTemplate, relations: list[list[int]], entities: Iterable[list[list[int]]]
    ) -> "TokenStore":
        """Makes a store from entities that come in chunks, so that only one chunk is in memory as lists."""
        parts = [_flatten(texts) for texts in (relations, *entities)]
        offsets = np.zeros(1 + sum(len(lengths) for _, lengths in parts), dtype=np.int64)
        np.cumsum(np.concatenate([lengths for _, lengths in parts]), out=offsets[1:])
        return cls(template, len(relations), np.concatenate([tokens for tokens, _ in parts]), offsets)

    def with_entities(self, entities: list[list[int]]) -> "TokenStore":
        """Returns the store with more entities, given by their token ids, after its own."""
        tokens, lengths = _flatten(entities)
        return replace(
            self,
            tokens=np.concatenate([self.tokens, tokens]),
            offsets=np.concatenate([self.offsets, self.offsets[-1] + np.cumsum(lengths)]),
        )

    @property
    def num_entities(self) -> int:
        return len(self.offsets) - 1 - self.num_relations

    @cached_property
    def same_text(self) -> tuple[np.ndarray, np.ndarray]:
        """For each entity, and each relation, the first with the same tokens: a text model cannot tell them apart."""
        return self._first_alike(self.num_relations, len(self.offsets) - 1), self._first_alike(0, self.num_relations)

    def of_texts(self, triplets: np.ndarray) -> np.ndarray:
        """Triplets, shape (n, 3), of the first entity with each text: a text model cannot tell the others apart."""
        triplets = triplets.copy()
        triplets[:, [0, 2]] = self.same_text[0][triplets[:, [0, 2]]]
        return triplets

    def _first_alike(self, start: int, end: int) -> np.ndarray:
        """For each of some texts, the first of them with the same tokens, counted from `start`: int64."""
        try:
            import pyarrow as pa
        except ImportError:  # code that was saved with a model asks for no more than a model needs
            raise ModelError("which texts are the same is found by pyarrow: pip install pyarrow") from None
        offsets = pa.py_buffer(self.tokens.itemsize * self.offsets[start : end + 1])
        texts = pa.Array.from_buffers(pa.large_binary(), end - start, [None, offsets, pa.py_buffer(self.tokens)])
        codes = texts.dictionary_encode().indices.to_numpy()
        first = np.empty(codes.max(initial=-1) + 1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]  # of values for one code, the last assigned stays
        return first[codes]

    def distinct(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of rows that read the same one: positions (m,), which of them each row is (n,), how many are (m,); int64."""
        entity, relation = (np.append(same, -1) for same in self.same_text)
        keys = ((entity[rows[:, 0]] + 1) * len(relation) + relation[rows[:, 1]] + 1) * len(entity) + entity[rows[:, 2]]
        _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        return first, inverse, counts

    def queries(self, triplets: np.ndarray, slot: int) -> np.ndarray:
        """Rows of the queries for `slot` (0 or 2) of triplets: (head, relation), or (tail, inverse relation)."""
        rows = np.full((len(triplets), 3), -1, dtype=np.int64)
        rows[:, 0] = triplets[:, 2 - slot]
        rows[:, 1] = triplets[:, 1] + (0 if slot == 2 else self.num_relations // 2)
        return rows

    def candidates(self, entities: np.ndarray) -> np.ndarray:
        """Returns the rows of entities as candidates, int64 of shape (n, 3)."""
        rows = np.full((len(entities), 3), -1, dtype=np.int64)
        rows[:, 2] = entities
        return rows

    def _segments(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start in `tokens`, truncated length and presence of the three segments; three arrays of shape (n, 3)."""
        present = rows >= 0
        texts = np.where(present, rows + np.array([self.num_relations, 0, self.num_relations]), 0)
        starts = self.offsets[texts]
        lengths = np.where(present, self.offsets[texts + 1] - starts, 0)
        budget = self.template.max_length - self.template.num_special(present.sum(axis=1))
        return starts, truncate(lengths, budget), present

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each row's sequence, special tokens included: int64, shape (n,)."""
        _, lengths, present = self._segments(rows)
        return lengths.sum(axis=1) + self.template.num_special(present.sum(axis=1))

    def length_summary(self, triplets: np.ndarray) -> dict[str, dict[str, float]]:
        """Mean, median, 95th percentile and maximum, in tokens, of the texts and of the sequences of `triplets`."""
        texts = np.diff(self.offsets)
        lengths = {
            "entity_text": texts[self.num_relations :],
            "relation_text": texts[: self.num_relations],
            "sequence": self.lengths(triplets),
        }
        return {
            name: {
                "mean": float(values.mean()),
                "median": float(np.median(values)),
                "p95": float(np.percentile(values, 95)),
                "max": int(values.max()),
            }
            for name, values in lengths.items()
        }

    def assemble(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Sequences of int rows of shape (n, 3), such as triplets, padded to the longest, L tokens.

        Returns int64 tensors of shape (n, L): `input_ids`, `attention_mask` (1 = token), and `segment_ids`
        (0 special or padding, 1 head, 2 relation, 3 tail).
        """
        starts, lengths, present = self._segments(rows)
        template, count = self.template, len(rows)
        # A separator behind each segment, or one behind all of them.
        gaps = present.astype(np.int64) if template.separators else np.zeros((1, 3), dtype=np.int64)
        ends = 1 + np.cumsum(lengths + gaps, axis=1) - gaps  # position behind each segment
        total = lengths.sum(axis=1) + template.num_special(present.sum(axis=1))
        width = int(total.max(initial=0))
        input_ids = np.full((count, width), template.padding, dtype=np.int64)
        segment_ids = np.zeros_like(input_ids)
        input_ids[:, :1] = template.begin
        first = np.arange(count) * width  # of each row, when all rows are one flat array
        flat_ids, flat_segments = input_ids.reshape(-1), segment_ids.reshape(-1)
        if template.separators:
            flat_ids[(first[:, None] + ends)[present]] = template.separator
        else:
            flat_ids[first + total - 1] = template.separator
        # All 3n segments at once: where each token comes from, and where it goes.
        flat = lengths.ravel()
        within = np.arange(flat.sum()) - np.repeat(np.cumsum(flat) - flat, flat)
        source = np.repeat(starts.ravel(), flat) + within
        target = np.repeat((first[:, None] + ends - lengths).ravel(), flat) + within
        flat_ids[target] = self.tokens[source]
        flat_segments[target] = np.repeat(np.tile([HEAD, RELATION, TAIL], count), flat)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy((np.arange(width) < total[:, None]).astype(np.int64)),
            "segment_ids": torch.from_numpy(segment_ids),
        }


def truncate(lengths: np.ndarray, budget: np.ndarray | int) -> np.ndarray:
    """Lengths of n x 3 segments cut so that each row sums to at most `budget` (at least 3; one number, or one a row).

    The longest segment of a row is shortened first, as the tokenizers' "longest_first" does, and none to nothing: cut
    segments come out equal within one token, the earlier one longer.
    """
    over = lengths.sum(axis=1) > budget
    if not over.any():
        return lengths
    budget = np.broadcast_to(budget, len(lengths))[over, None]
    rows = np.sort(lengths[over], axis=1)
    shorter = np.cumsum(rows, axis=1) - rows  # sum of the segments that are shorter than each
    level = ((budget - shorter) // np.array([3, 2, 1])).max(axis=1, keepdims=True)
    cut = np.minimum(lengths[over], level)
    left = budget - cut.sum(axis=1, keepdims=True)
    longer = lengths[over] > level
    result = lengths.copy()
    result[over] = cut + (longer & (np.cumsum(longer, axis=1) <= left))
    return result


def _flatten(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns all tokens one after the other, int32, and the length of each list, int64."""
    lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
    return np.fromiter(chain.from_iterable(lists), dtype=np.int32, count=int(lengths.sum())), lengths

"""Every text of a graph tokenised once, and sequences put together from it by array operations.

It knows token ids and lengths, not strings and not models. A sequence is `[B] head [S] relation [S] tail [S]` (paper,
section 2.1), or `[B] head relation tail [S]` without separators (the published code's default).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

HEAD, RELATION, TAIL = 1, 2, 3  # segment ids; 0 is a special token or padding


@dataclass(frozen=True)
class SequenceTemplate:
    """The special tokens of a sequence, and its longest length in tokens, special tokens included."""

    begin: int
    separator: int
    padding: int
    separators: bool
    max_length: int

    @property
    def num_special(self) -> int:
        return 4 if self.separators else 2


@dataclass(frozen=True)
class TokenStore:
    """Token ids of all relations, then all entities, in one flat array.

    `tokens`: int32, all texts after each other; `offsets`: int64, text i is `tokens[offsets[i]:offsets[i + 1]]`;
    relation r is text r, entity e is text `num_relations + e`.
    """

    template: SequenceTemplate
    num_relations: int
    tokens: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_lists(
        cls, template: SequenceTemplate, relations: list[list[int]], entities: list[list[int]]
    ) -> "TokenStore":
        tokens, offsets = _flatten([*relations, *entities])
        return cls(template, len(relations), tokens, offsets)

    def with_entities(self, entities: list[list[int]]) -> "TokenStore":
        """The store with more entities after its own."""
        tokens, offsets = _flatten(entities)
        return replace(
            self,
            tokens=np.concatenate([self.tokens, tokens]),
            offsets=np.concatenate([self.offsets, self.offsets[-1] + offsets[1:]]),
        )

    @property
    def num_entities(self) -> int:
        return len(self.offsets) - 1 - self.num_relations

    @cached_property
    def same_text(self) -> tuple[np.ndarray, np.ndarray]:
        """For each entity, and each relation, the first with the same tokens: a text model cannot tell them apart."""
        first: dict[bytes, int] = {}
        same = np.empty(len(self.offsets) - 1, dtype=np.int64)
        for text in range(len(same)):
            key = self.tokens[self.offsets[text] : self.offsets[text + 1]].tobytes()
            same[text] = first.setdefault(key + (b"r" if text < self.num_relations else b"e"), text)
        return same[self.num_relations :] - self.num_relations, same[: self.num_relations]

    def _segments(self, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start in `tokens` and truncated length of the three segments; two arrays of shape (n, 3)."""
        texts = triplets + np.array([self.num_relations, 0, self.num_relations])
        starts = self.offsets[texts]
        return starts, truncate(self.offsets[texts + 1] - starts, self.template.max_length - self.template.num_special)

    def lengths(self, triplets: np.ndarray) -> np.ndarray:
        """Tokens of each triplet's sequence, special tokens included: int64, shape (n,)."""
        return self._segments(triplets)[1].sum(axis=1) + self.template.num_special

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

    def assemble(self, triplets: np.ndarray) -> dict[str, torch.Tensor]:
        """Sequences of int triplets of shape (n, 3), padded to the longest, L tokens.

        Returns int64 tensors of shape (n, L): `input_ids`, `attention_mask` (1 = token), and `segment_ids`
        (0 special or padding, 1 head, 2 relation, 3 tail).
        """
        starts, lengths = self._segments(triplets)
        template, gap, rows = self.template, int(self.template.separators), np.arange(len(triplets))
        ends = np.cumsum(lengths, axis=1) + 1 + gap * np.arange(3)  # position behind each segment
        total = ends[:, 2] + 1
        width = int(total.max(initial=template.num_special))
        input_ids = np.full((len(triplets), width), template.padding, dtype=np.int64)
        segment_ids = np.zeros_like(input_ids)
        input_ids[:, 0] = template.begin
        if gap:
            input_ids[rows[:, None], ends] = template.separator
        else:
            input_ids[rows, ends[:, 2]] = template.separator
        # All 3n segments at once: where each token comes from, and where it goes.
        flat = lengths.ravel()
        within = np.arange(flat.sum()) - np.repeat(np.cumsum(flat) - flat, flat)
        source = np.repeat(starts.ravel(), flat) + within
        target = np.repeat((rows[:, None] * width + ends - lengths).ravel(), flat) + within
        input_ids.reshape(-1)[target] = self.tokens[source]
        segment_ids.reshape(-1)[target] = np.repeat(np.tile([HEAD, RELATION, TAIL], len(triplets)), flat)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy((np.arange(width) < total[:, None]).astype(np.int64)),
            "segment_ids": torch.from_numpy(segment_ids),
        }


def truncate(lengths: np.ndarray, budget: int) -> np.ndarray:
    """Lengths of n x 3 segments cut so that each row sums to at most `budget` (at least 3).

    The longest segment of a row is shortened first, as the tokenizers' "longest_first" does, and none to nothing: cut
    segments come out equal within one token, the earlier one longer.
    """
    over = lengths.sum(axis=1) > budget
    if not over.any():
        return lengths
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
    offsets = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum([len(tokens) for tokens in lists], out=offsets[1:])
    return np.fromiter((token for tokens in lists for token in tokens), dtype=np.int32, count=offsets[-1]), offsets

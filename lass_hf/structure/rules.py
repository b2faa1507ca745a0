"""Horn rules as arrays: a head of one relation, and a body that is a path of relations, or a relation to a constant.

- Path rule: r(x, y) <- b1(x, z), b2(z, y), with one, two or three atoms.
- Rule with constants: r(x, c) <- b(x, d), or r(x, c) <- b(x, .) for any d.

The head is directed: a rule scores tails, and one whose head is the inverse of r scores heads: r(y, x) or r(c, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

MAX_LENGTH = 3  # atoms of a body
DTYPES = (np.int32, np.int32, np.int32, np.int32, np.int64, np.int64, np.float64, np.int32)  # of a `RuleSet`


@dataclass(frozen=True)
class RuleSet:
    """n rules, those of one head together, the most confident first.

    Attributes:
        heads: Int32 of shape (n,): the directed relation of the head.
        bodies: Int32 of shape (n, 3): the directed relations of the body's atoms, -1 behind the last.
        head_constants: Int32 of shape (n,): the entity c of r(x, c); -1 for a path rule.
        body_constants: Int32 of shape (n,): the entity d of b(x, d); -1 for any, and for a path rule.
        supports: Int64 of shape (n,): the pairs for which body and head hold.
        body_counts: Int64 of shape (n,): the pairs for which the body holds.
        confidences: Float64 of shape (n,), above 0 and at most 1: the probability of the head, given the body.
        groups: Int32 of shape (n,): rules of a head that are redundant share a number; the best of them counts alone.
    """

    heads: np.ndarray
    bodies: np.ndarray
    head_constants: np.ndarray
    body_constants: np.ndarray
    supports: np.ndarray
    body_counts: np.ndarray
    confidences: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        """Returns the number of rules."""
        return len(self.heads)

    def select(self, positions: np.ndarray) -> "RuleSet":
        """Returns the rules at some positions, int of shape (m,) or bool of shape (n,)."""
        return RuleSet(*(getattr(self, one.name)[positions] for one in fields(self)))

    @classmethod
    def from_rows(cls, rows: Sequence[tuple]) -> "RuleSet":
        """Makes rules of tuples, each of the values that the attributes have for a rule, in their order."""
        columns = zip(*rows, strict=True) if rows else [()] * len(DTYPES)
        arrays = [np.array(column, dtype) for column, dtype in zip(columns, DTYPES, strict=True)]
        arrays[1] = arrays[1].reshape(-1, MAX_LENGTH)
        return cls(*arrays)

    @classmethod
    def concatenate(cls, parts: "Sequence[RuleSet]") -> "RuleSet":
        """Joins rules of different heads into one set."""
        parts = [cls.from_rows([]), *parts]
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

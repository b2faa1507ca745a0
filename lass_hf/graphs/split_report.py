"""What became of a split, for people and programs; `splitting.py` makes it."""

from dataclasses import asdict, dataclass
from typing import Any

from ..core.vocabulary import Vocabulary
from ..structure.relation_patterns import Mirror

SHOWN = 10  # relations that a report describes


@dataclass(frozen=True)
class SplitReport:
    """What became of a split.

    Attributes:
        sizes: the number of triplets of each split.
        asked: the number that validation and test should have.
        mirrors: symmetric, inverse and repeated relations among the triplets that were split.
        kept_together: how many of these triplets have others between the same two entities.
        only_ones: how many pairs of entities stay in training because an entity or a relation has no other triplet.
        unseen_entities: how many entities of the new splits have no training triplet: none, except by date.
        unseen_relations: the same for relations.
        undated: how many triplets have no date, and stay in training; None without dates.
    """

    sizes: dict[str, int]
    asked: dict[str, int]
    mirrors: list[Mirror]
    kept_together: int
    only_ones: int
    unseen_entities: int
    unseen_relations: int
    undated: int | None

    def describe(self, relations: Vocabulary) -> list[str]:
        """Returns the report in sentences.

        Args:
            relations: the relations of the graph.
        """
        lines = [", ".join(f"{size:,} {name}" for name, size in self.sizes.items())]
        for mirror in self.mirrors[:SHOWN]:
            one, other = (relations.texts[number] for number in (mirror.relation, mirror.other))
            share = f"{mirror.share:.0%} of {mirror.support / mirror.share:,.0f} triplets"
            lines.append(
                {
                    "symmetric": f"{one}: symmetric ({share} are there in both directions)",
                    "inverse": f"{one}: the inverse of {other} ({share})",
                    "same": f"{one}: says the same as {other} ({share})",
                }[mirror.kind]
            )
        if len(self.mirrors) > SHOWN:
            lines.append(f"... and {len(self.mirrors) - SHOWN:,} more such relations, which --json lists")
        if self.kept_together:
            lines.append(f"{self.kept_together:,} triplets share their two entities with others; these stay together")
        for name, asked in self.asked.items():
            if self.sizes.get(name, 0) < asked and 20 * (asked - self.sizes.get(name, 0)) > asked:
                lines.append(
                    f"{name} has {self.sizes.get(name, 0):,} triplets, not {asked:,}: {self.only_ones:,} pairs of "
                    "entities stay in training, because an entity or relation has no other triplet"
                )
        for count, kind in ((self.unseen_entities, "entities"), (self.unseen_relations, "relations")):
            if count:
                lines.append(f"{count:,} {kind} of validation and test have no training triplet")
        if self.undated:
            lines.append(f"{self.undated:,} triplets have no date, and stay in training")
        return lines

    def to_dict(self, relations: Vocabulary) -> dict[str, Any]:
        """Returns the report as plain values, with the ids of the relations."""
        mirrors = [
            {**asdict(one), "relation": relations.ids[one.relation], "other": relations.ids[one.other]}
            for one in self.mirrors
        ]
        return {**asdict(self), "mirrors": mirrors}

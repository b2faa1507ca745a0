"""The list that people review: the judged triplets that `lass-hf complete` or `lass-hf audit` wrote into a folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import LassError, UnknownNameError
from ..core.vocabulary import shown
from ..names.letters import plain_letters
from ..utils.result_files import LISTS
from ..writers.judged_triplets import NAMES, TEXTS, FileMetadata
from ..writers.tables import read_judged_triplets

COMMANDS = {"completion": "lass-hf complete", "audit": "lass-hf audit"}


@dataclass(frozen=True)
class Choice:
    """Which triplets of a list are wanted; what is None is not asked for.

    Attributes:
        relation: The id of their relation.
        kind: Their kind.
        least: Their least probability.
        most: Their highest probability; what has none is not wanted.
        text: Letters of their ids or texts; case and accents do not matter.
    """

    relation: str | None = None
    kind: str | None = None
    least: float | None = None
    most: float | None = None
    text: str | None = None


class ReviewList:
    """The judged triplets of a folder, n in all, in the order of their file.

    Args:
        folder: The folder.

    Attributes:
        file: The file of the list.
        of_facts: Whether they are facts of the graph that may be wrong, and not suggestions.
        table: The triplets, of `judged_schema`.
        triplets: Their ids, head, relation and tail.
        metadata: What the list depends on.

    Raises:
        LassError: The folder holds no list, or two, or the list is empty, damaged, or has a triplet twice.
    """

    def __init__(self, folder: str | Path):
        files = {work: Path(folder, LISTS[work][0]) for work in COMMANDS}
        found = [work for work, file in files.items() if file.exists()]
        if len(found) != 1:
            there = "both lists" if found else f"no {' and no '.join(file.name for file in files.values())}"
            raise LassError(f"{folder}: holds {there}; expected a folder that {' or '.join(COMMANDS.values())} wrote")
        self.file = files[found[0]]
        self.of_facts = found == ["audit"]
        rows, metadata = read_judged_triplets(self.file)
        self.table = rows.combine_chunks()
        self.metadata = metadata or FileMetadata(model="unknown")
        if not len(self.table):
            raise LassError(f"{self.file}: it has no triplet, so there is nothing to review")
        heads, relations, tails = (self.table[name].to_pylist() for name in NAMES)
        self.triplets = list(zip(heads, relations, tails, strict=True))
        self._rows = {triplet: row for row, triplet in reversed(list(enumerate(self.triplets)))}
        if len(self._rows) < len(self):
            row = next(row for row, triplet in enumerate(self.triplets) if self._rows[triplet] != row)
            first = self._rows[self.triplets[row]]
            raise LassError(f"{self.file}: row {row + 1} has the triplet of row {first + 1} again")
        self.relations, self._relation_codes = self._encode("relation")
        self.kinds, self._kind_codes = self._encode("kind")
        probability = self.table["probability"].to_numpy()
        self.probabilities = np.where(np.isnan(probability), -1, probability)

    def __len__(self) -> int:
        """Returns n."""
        return len(self.table)

    def find(self, triplet: tuple[str, str, str]) -> int:
        """Returns the row of a triplet of ids; raises UnknownNameError if the list lacks it."""
        if (row := self._rows.get(triplet)) is None:
            named = " ".join(map(shown, triplet))
            raise UnknownNameError(f"{self.file} lacks the triplet {named}; expected one of the list")
        return row

    def counts(self, name: str) -> list[tuple[str, int]]:
        """Returns the values of column "relation" or "kind" with their numbers of rows, the most frequent first."""
        values, codes = (self.relations, self._relation_codes) if name == "relation" else (self.kinds, self._kind_codes)
        counts = np.bincount(codes, minlength=len(values)).tolist()
        return sorted(zip(values, counts, strict=True), key=lambda pair: -pair[1])

    def select(self, choice: Choice) -> np.ndarray:
        """Returns which triplets are wanted, bool of shape (n,)."""
        chosen = np.ones(len(self), dtype=bool)
        for wanted, values, codes in (
            (choice.relation, self.relations, self._relation_codes),
            (choice.kind, self.kinds, self._kind_codes),
        ):
            if wanted is not None:
                chosen &= codes == (values.index(wanted) if wanted in values else -1)
        if choice.least is not None:
            chosen &= self.probabilities >= choice.least
        if choice.most is not None:
            chosen &= (self.probabilities >= 0) & (self.probabilities <= choice.most)
        if choice.text and (wanted := plain_letters(pa.array([choice.text], pa.large_string()))[0].as_py()):
            chosen &= np.asarray(pc.match_substring(self._letters, wanted))
        return chosen

    @cached_property
    def _letters(self) -> Any:
        """The letters of ids and texts of each row, with line ends between them, as searches compare them."""
        columns = [plain_letters(self.table[name].combine_chunks()) for name in (*TEXTS, *NAMES)]
        return pc.binary_join_element_wise(*columns, pa.scalar("\n", pa.large_string()))

    def _encode(self, name: str) -> tuple[list[str], np.ndarray]:
        encoded = self.table[name].combine_chunks().dictionary_encode()
        return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()

"""The review of a folder: its list, the decisions of all reviewers, and what becomes of them."""

import dataclasses
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import LassError, UnknownNameError
from ..utils.result_files import DECIDED_FILE, refuse_own_file
from ..writers.judged_triplets import date_of_now, judged_schema
from ..writers.source_ids import SourceIds
from ..writers.writing import WrittenFile, write_judged_triplets
from .decisions import Decision, DecisionsFile
from .outcomes import CONTRADICTION, LABELS, OPEN, OUTCOMES, Outcomes
from .review_list import ReviewList


class Review:
    """A list and what people decided about it; several threads may use it, and several processes one folder.

    Args:
        folder: The folder that `lass-hf complete` or `lass-hf audit` wrote.

    Attributes:
        list: The list.
        outcomes: What the decisions come to, as of the last `refresh`.
        lock: Held while `outcomes` change.

    Raises:
        LassError: The list, or a line of the decisions, is not as expected.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.list = ReviewList(folder)
        self.outcomes = Outcomes(len(self.list))
        self.lock = threading.RLock()
        self._file = DecisionsFile(folder)
        self._wrong: str | None = None  # a line about a triplet that the list lacks
        self.refresh()

    def check_writable(self) -> None:
        """Raises LassError where no decision could be kept."""
        self._file.check_writable()

    def refresh(self) -> None:
        """Takes the decisions that this or another process has made since the last call.

        Raises:
            LassError: A line is no decision, or decides about a triplet that the list lacks.
        """
        with self.lock:
            for line, decision in self._file.read_new():
                try:
                    self.outcomes.add(self.list.find(decision.triplet), decision)
                except UnknownNameError as error:
                    self._wrong = self._wrong or f"{self._file.path}, line {line}: {error}"
            if self._wrong:
                raise LassError(
                    f"{self._wrong}; decisions about another list? Move the file and {DECIDED_FILE} away, and start "
                    "again"
                )

    def decide(self, row: int, decision: str, reviewer: str, settles: bool = False) -> None:
        """Keeps a decision, which is on the disk and counts when this returns.

        Args:
            row: The row of the triplet, from 0.
            decision: One of `DECISIONS`.
            reviewer: The name of the person.
            settles: See `Decision`.

        Raises:
            LassError: There is no such row or decision, the name is none, or the file of decisions is damaged.
            OSError: The decision cannot be written; nothing has changed.
        """
        if not 0 <= row < len(self.list):
            raise LassError(f"row {row}; expected 0 to {len(self.list) - 1:,}, a row of {self.list.file}")
        self.refresh()  # a damaged file is told before anything is added to it
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        head, relation, tail = self.list.triplets[row]
        self._file.append(Decision(head, relation, tail, decision, " ".join(reviewer.split()), now, settles))
        self.refresh()

    def undo(self, reviewer: str) -> int | None:
        """Takes back the last decision of a person; returns the row of its triplet, or None if there is none."""
        self.refresh()
        with self.lock:
            row = next(reversed(self.outcomes.rows_of.get(" ".join(reviewer.split()), {})), None)
        if row is not None:
            self.decide(row, "undo", reviewer)
        return row

    def decided(self) -> pa.Table:
        """Returns the triplets that somebody decided, with the label, and the names of those whom it rests on.

        The label is null where people are unsure or contradict each other; a contradiction is the first of the reasons.
        """
        self.refresh()
        with self.lock:
            rows = np.flatnonzero(self.outcomes.codes != OPEN)
            codes = self.outcomes.codes[rows].tolist()
            names = [self.outcomes.reviewers(row) for row in rows.tolist()]
            votes = [dict(self.outcomes.votes[row]) for row in rows.tolist()]
        table = self.list.table.take(pa.array(rows))
        reasons = table["reasons"].to_pylist()
        for place, code in enumerate(codes):
            if code == CONTRADICTION:
                said = ", ".join(f"{name} says {votes[place][name]}" for name in names[place])
                reasons[place] = [f"reviewers contradict each other: {said}", *reasons[place]]
        new = {
            "label": [LABELS.get(code) for code in codes],
            "reviewer": [", ".join(people) for people in names],
            "reasons": reasons,
        }
        for name, values in new.items():
            column = judged_schema().field(name)
            table = table.set_column(table.column_names.index(name), column, pa.array(values, column.type))
        return table

    def progress(self, reviewer: str) -> dict[str, int]:
        """Returns how many triplets there are, "total", of each of `OUTCOMES`, and decided by a person, "mine"."""
        with self.lock:
            counts = np.bincount(self.outcomes.codes, minlength=len(OUTCOMES)).tolist()
            mine = len(self.outcomes.rows_of.get(" ".join(reviewer.split()), ()))
        return {"total": len(self.list), **dict(zip(OUTCOMES, counts, strict=True)), "mine": mine}

    def write_decided(self) -> Path | None:
        """Writes `decisions.tsv` into the folder, whole or not at all.

        Returns:
            The file; None where nothing was ever decided: a file that is there then has the decisions of others.
        """
        file, decided = self.folder / DECIDED_FILE, self.decided()
        if not len(decided) and not self._file.line:
            return None
        self._write(decided, file)
        return file

    def exported(self) -> pa.Table:
        """Returns what `export` writes: the accepted suggestions, or the findings that are true or wrong."""
        decided = self.decided()
        label = decided["label"]
        return decided.filter(pc.is_valid(label) if self.list.of_facts else pc.equal(label, True))

    def export(self, file: str | Path, format: str | None = None, source: SourceIds | None = None) -> WrittenFile:
        """Writes what people decided into a file, in any of the formats of the writers.

        Of suggestions these are the accepted triplets; of the findings of an audit those that are true and those that
        are wrong, by their labels.

        Args:
            file: The file to write, or to replace.
            format: The name of its format; None: its ending says it.
            source: The ids in the form of the graph's source.

        Raises:
            LassError: There is none yet, the format is unknown or can hold none of it, or the file is one of those that
                the folder of the list has for itself.
            OSError: The file cannot be written.
        """
        refuse_own_file(file, self.folder)
        exported = self.exported()
        if not len(exported):
            counts = f"{len(self.decided()):,} of {len(self.list):,} triplets are decided"
            what = "found true or wrong" if self.list.of_facts else "accepted"
            raise LassError(f"{self.folder}: no triplet is {what} yet ({counts}), so {file} would be empty")
        return self._write(exported, file, format, source)

    def _write(
        self,
        table: pa.Table,
        file: str | Path,
        format: str | None = None,
        source: SourceIds | None = None,
    ) -> WrittenFile:
        made = self.list.metadata
        settings = {**made.settings, "reviewed": self.list.file.name}
        metadata = dataclasses.replace(made, settings=settings, date=date_of_now())
        return write_judged_triplets(table, file, metadata, format, source)

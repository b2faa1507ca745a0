"""Decisions of people about triplets: files of them, read for a graph and brought back into its training triplets."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError, UnknownNameError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import SPLITS, escaped
from ..structure.facts import labeled_false
from ..utils.fingerprints import digest
from ..utils.result_files import DECIDED_FILE, DECISIONS_FILE
from ..writers.file_formats import format_of
from ..writers.judged_triplets import NAMES, FileMetadata
from ..writers.tables import place_of_row, read_judged_triplets


@dataclass(frozen=True)
class Decisions:
    """The triplets of a graph that people accepted or rejected, each once.

    Attributes:
        files: the files of the decisions.
        graph: the graph whose integers the triplets have.
        triplets: int64 of shape (n, 3), in the order of the files. A list that leaves them out shows none again.
        labels: int8 of shape (n,), 1 for accepted and 0 for rejected.
        rows: int64 of shape (n, 2), what decides each: the number of a file, and the row there, both from 0.
        num_unsure: the number of triplets that people looked at without a decision.
    """

    files: tuple[Path, ...]
    graph: KnowledgeGraph
    triplets: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    num_unsure: int

    def __len__(self) -> int:
        """Returns the number of triplets that were accepted or rejected."""
        return len(self.triplets)

    @cached_property
    def accepted(self) -> KnownTriplets:
        """The index of the accepted triplets."""
        return self._index(1)

    @cached_property
    def rejected(self) -> KnownTriplets:
        """The index of the rejected triplets."""
        return self._index(0)

    def _index(self, label: int) -> KnownTriplets:
        chosen = self.triplets[self.labels == label]
        return KnownTriplets(chosen, self.graph.num_entities, self.graph.num_relations)

    def in_words(self) -> str:
        """Returns the files, and how many triplets people accepted, rejected, and were unsure of."""
        accepted, rejected = len(self.accepted), len(self.rejected)
        return f"{_named(self.files)}: {accepted:,} accepted, {rejected:,} rejected, {self.num_unsure:,} unsure"

    def changes_in_words(self) -> str:
        """Returns what `graph_with_decisions` makes of them: how many facts are new, and how many no facts anymore.

        Raises:
            GraphError: as there.
        """
        is_fact, is_accepted = self.graph.known_in_train.contains(self.triplets), self.labels == 1
        is_new = ~is_fact & ~_find_held_out(self)
        counts = (is_new & is_accepted, is_fact & ~is_accepted, is_new & ~is_accepted)
        joined, taken, wrong = (int(some.sum()) for some in counts)
        return (
            f"{joined:,} join the training triplets; false triplets there are {taken:,} of the graph's facts and "
            f"{wrong:,} others"
        )

    def describe(self) -> dict[str, Any]:
        """Returns the files' names and fingerprint, and the numbers of `accepted`, `rejected` and `unsure` triplets."""
        counts = {"accepted": len(self.accepted), "rejected": len(self.rejected), "unsure": self.num_unsure}
        names = ", ".join(file.name for file in self.files)
        return {"file": names, "fingerprint": digest([file.read_bytes() for file in self.files]), **counts}


def read_decisions(files: str | Path | Sequence[str | Path], graph: KnowledgeGraph) -> Decisions:
    """Reads what people decided about triplets of a graph.

    Args:
        files: a file or several, such as those of two lists, of judged triplets in a format that
            `read_judged_triplets` reads: a `label` of true accepts a triplet, false rejects it, and none is unsure. A
            triplet may have several rows, of which unsure ones change nothing. The columns `head`, `relation`, `tail`
            and `label` are enough; names may be ids or texts.
        graph: the graph of these triplets.

    Returns:
        The decisions, of which there can be none.

    Raises:
        LassError: a file cannot be read, names something that the graph lacks, or accepts and rejects one triplet;
            the message has file and line. Or a review has decisions that are later than the file that it wrote.
    """
    files = tuple(map(Path, [files] if isinstance(files, (str, Path)) else files))
    parts = [_read_file(file, graph) for file in files]
    triplets, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    sizes = [len(own) for _, own in parts]
    rows = np.stack([np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(size) for size in sizes])], 1)
    decided, of_rows, other = _decide(triplets, labels)
    if len(other):
        first, second = sorted(other[0].tolist())
        places = [_place(files, rows[row]) for row in (first, second)]
        if rows[first, 0] == rows[second, 0]:
            places[0] = places[0].removeprefix(f"{files[rows[first, 0]]}, ")
        raise GraphError(
            f"{places[1]}: {_told(labels[second])} {_in_ids(graph, triplets[second])}, which "
            f"{places[0]} {_told(labels[first])}; keep one of the two"
        )
    num_unsure = len(np.unique(of_rows)) - len(decided)
    return Decisions(files, graph, triplets[decided], labels[decided], rows[decided], num_unsure)


def _read_file(file: Path, graph: KnowledgeGraph) -> tuple[np.ndarray, np.ndarray]:
    """Returns the triplets of the rows of a file, and their labels: 1, 0, or -1 for none."""
    table, metadata = read_judged_triplets(file, needed="label")
    _check_current(file, metadata)
    triplets = np.empty((table.num_rows, 3), dtype=np.int64)
    for slot, (column, vocabulary) in enumerate(
        zip(NAMES, (graph.entities, graph.relations, graph.entities), strict=True)
    ):
        for row, name in enumerate(table[column].to_pylist()):
            try:
                triplets[row, slot] = vocabulary.find(name)
            except UnknownNameError as error:
                raise GraphError(f"{_place([file], (0, row))}: {column}: {error}") from None
    return triplets, table["label"].cast("int8").fill_null(-1).to_numpy().astype(np.int8)


def _check_current(file: Path, metadata: FileMetadata | None) -> None:
    """Raises GraphError if the review that wrote a file has a later decision, as after a kill of its server.

    Both times are those that the files hold: a copy of the folder has others on the disk.
    """
    log, is_outdated = file.with_name(DECISIONS_FILE), False
    if file.name != DECIDED_FILE or metadata is None or not log.is_file():
        return
    lines = [line for line in log.read_bytes().split(b"\n")[:-1] if line.strip()]  # the last one may be cut off
    with suppress(ValueError, TypeError, LookupError, RecursionError):  # what is no decision is told by the review
        last = datetime.fromisoformat(json.loads(lines[-1])["time"])
        is_outdated = last > datetime.fromisoformat(metadata.date)
    if is_outdated:
        raise GraphError(
            f"{file}: lacks later decisions of {log.name} beside it; write it anew with lass-hf review "
            f"{shlex.quote(str(file.parent))} --export FILE"
        )


def _decide(triplets: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compares rows of the same triplet.

    Returns:
        The first row of each triplet that is accepted or rejected, ascending; the number of each row's triplet; and
        pairs of rows that contradict each other, int64 of shape (c, 2), by the later row.
    """
    of_rows = np.unique(triplets, axis=0, return_inverse=True)[1].reshape(-1)
    firsts = []
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        numbers, first = np.unique(of_rows[rows], return_index=True)
        firsts.append((numbers, rows[first]))
    (rejected, first_rejected), (accepted, first_accepted) = firsts
    _, left, right = np.intersect1d(rejected, accepted, return_indices=True)
    pairs = np.stack([first_rejected[left], first_accepted[right]], axis=1)
    return np.sort(np.concatenate([first_rejected, first_accepted])), of_rows, pairs[np.argsort(pairs.max(axis=1))]


def graph_with_decisions(decisions: Decisions) -> KnowledgeGraph:
    """Makes the graph in whose training split the accepted triplets are true, and the rejected ones false.

    A decision replaces what the training split says of its triplet: a rejected fact is taken out and becomes a false
    triplet, and an accepted triplet that was labeled false becomes a true one. What is there already stays in place. A
    decision that agrees with what the graph holds out of training adds nothing to it.

    Args:
        decisions: the decisions, with the graph that they are about.

    Returns:
        A graph with the same vocabularies and other splits.

    Raises:
        GraphError: nothing is decided, the graph has no train split, or decisions contradict what the graph holds out
            of training; the message has their number, and file and line of the first.
    """
    graph = decisions.graph
    train = graph["train"]
    if not len(decisions):
        raise GraphError(
            f"{_named(decisions.files)}: no decision, {decisions.num_unsure} unsure; expected a label of true or false "
            "in a row"
        )
    is_held_out = _find_held_out(decisions)
    is_rejected = decisions.rejected.contains(train.triplets)
    labels = np.ones(len(train), dtype=np.int8) if train.labels is None else train.labels
    is_mistaken = (labels == 0) & decisions.accepted.contains(train.triplets)
    kept = train.select(np.flatnonzero(~is_rejected & ~is_mistaken))
    is_new = (decisions.labels == 0) | ~graph.known_in_train.contains(decisions.triplets)
    is_new &= ~is_held_out
    triplets = np.concatenate([kept.triplets, decisions.triplets[is_new]])
    labels = np.concatenate([labels[~is_rejected & ~is_mistaken], decisions.labels[is_new]])
    splits: Mapping[str, Any] = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    is_plain = train.labels is None and bool(labels.all())
    return KnowledgeGraph(
        graph.entities, graph.relations, {**splits, "train": (triplets, None if is_plain else labels)}
    )


def _find_held_out(decisions: Decisions) -> np.ndarray:
    """Returns which decided triplets validation or test hold, on which no model is to be trained: bool of shape (n,).

    Raises:
        GraphError: decisions contradict these splits, on which models are then measured by what people found wrong.
    """
    graph, triplets = decisions.graph, decisions.triplets
    is_true = {name: graph.index_splits(name).contains(triplets) for name in SPLITS[1:]}
    is_false = {name: labeled_false(graph, name).contains(triplets) for name in SPLITS[1:]}
    opposed = {name: np.where(decisions.labels == 1, is_false[name], is_true[name]) for name in SPLITS[1:]}
    rows = np.flatnonzero(np.logical_or.reduce(list(opposed.values())))
    if len(rows):
        first = rows[0]
        told, held = _told(decisions.labels[first]), ("true", "false")[decisions.labels[first]]
        split = next(name for name in opposed if opposed[name][first])
        raise GraphError(
            f"{_place(decisions.files, decisions.rows[first])}: {told} {_in_ids(graph, triplets[first])}, which is "
            f"{held} in the graph's {split} split, on which models are measured; it is the first of {len(rows):,} such "
            "decisions: take their triplets out of validation and test, or their rows out of the file"
        )
    return np.logical_or.reduce([*is_true.values(), *is_false.values()])


def _told(label: int) -> str:
    return "accepts" if label == 1 else "rejects"


def _in_ids(graph: KnowledgeGraph, triplet: np.ndarray) -> str:
    head, relation, tail = triplet.tolist()
    ids = graph.entities.ids[head], graph.relations.ids[relation], graph.entities.ids[tail]
    return f"({', '.join(map(escaped, ids))})"


def _named(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files))


def _place(files: Sequence[Path], place: Sequence[int] | np.ndarray) -> str:
    file, row = files[place[0]], int(place[1])
    return place_of_row(file, format_of(file), row)

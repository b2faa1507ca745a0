"""The knowledge graph: vocabularies with texts, and splits of triplets as integer arrays.

From here on entities and relations are integers, and slots are 0, 1, 2 = head, relation, tail.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from .errors import GraphError, first_line
from .graph_formats import GraphFormats
from .known_triplets import KnownTriplets
from .vocabulary import SLOT_NAMES, SPLITS, Vocabulary

VOCABULARY_FILE = "vocabulary.json"
TRIPLETS_FILE = "known_triplets.safetensors"


@dataclass
class GraphSplit:
    """One split: a map-style dataset of `{"head": int, "relation": int, "tail": int[, "label": int]}`.

    Attributes:
        graph: The graph that the split belongs to.
        name: "train", "validation" or "test".
        triplets: Int64 of shape (n, 3): all lines of the file, duplicates too.
        labels: Int8 of shape (n,), 1 for true and 0 for false triplets. None if all are true.
    """

    graph: "KnowledgeGraph" = field(repr=False)
    name: str
    triplets: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns the number of triplets."""
        return len(self.triplets)

    def __getitem__(self, position: int) -> dict[str, int]:
        """Returns the triplet at a position."""
        head, relation, tail = self.triplets[position].tolist()
        item = {"head": head, "relation": relation, "tail": tail}
        if self.labels is not None:
            item["label"] = int(self.labels[position])
        return item

    def __getitems__(self, positions: Sequence[int]) -> "GraphSplit":
        """Returns the part of the split at some positions, which a data loader passes to its collator as arrays."""
        return self.select(np.asarray(positions))

    @property
    def positives(self) -> np.ndarray:
        """The true triplets, int64 of shape (m, 3)."""
        return self.triplets if self.labels is None else self.triplets[self.labels == 1]

    def sample(self, fraction: float, seed: int = 42) -> "GraphSplit":
        """Draws a part of the split at random, in the order of the split; the parts of one seed are nested.

        Args:
            fraction: The share of the triplets, more than 0 and at most 1. One triplet at least is drawn.
            seed: Seed of the random numbers.

        Returns:
            The part.

        Raises:
            GraphError: The fraction is out of range.
        """
        if not 0 < fraction <= 1:
            raise GraphError(f"fraction={fraction}; expected more than 0 and at most 1")
        count = max(1, round(fraction * len(self)))
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:count]))

    def select(self, positions: np.ndarray) -> "GraphSplit":
        """Returns the part of the split at some positions, as `datasets.Dataset.select` does.

        Args:
            positions: Int of shape (m,).

        Returns:
            A split of m triplets.
        """
        labels = None if self.labels is None else self.labels[positions]
        return GraphSplit(self.graph, self.name, self.triplets[positions], labels)


def _check_labels(name: str, triplets: np.ndarray, labels: np.ndarray) -> None:
    """Raises GraphError for labels of a split that are no 1 and 0, or not as many as its triplets."""
    if labels.dtype != np.int8 or labels.shape != triplets.shape[:1]:
        raise GraphError(
            f"{name}: labels are {labels.dtype} of shape {labels.shape}; expected int8 of shape ({len(triplets)},)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise GraphError(f"{name}: labels are {np.unique(labels).tolist()}; expected 1 (true) and 0 (false)")


class KnowledgeGraph(GraphFormats):
    """A knowledge graph with texts. `from_file`, `from_directory`, `from_triplets`, `from_hub` and others make one.

    Args:
        entities: Ids and texts of all entities.
        relations: Ids and texts of all relations.
        splits: For each split its triplets, int64 of shape (n, 3), and its labels, int8 of shape (n,), or None.

    Attributes:
        entities: Ids and texts of all entities.
        relations: Ids and texts of all relations.
        splits: The splits by name, in the order train, validation, test.

    Raises:
        GraphError: A split has another name, triplets that are not integers of the vocabularies, or other labels.
    """

    def __init__(
        self,
        entities: Vocabulary,
        relations: Vocabulary,
        splits: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    ):
        self.entities = entities
        self.relations = relations
        for name, (triplets, labels) in splits.items():
            self._check(name, triplets)
            if labels is not None:
                _check_labels(name, triplets, labels)
        self.splits = {
            name: GraphSplit(self, name, triplets, labels)
            for name, (triplets, labels) in sorted(splits.items(), key=lambda item: SPLITS.index(item[0]))
        }

    def _check(self, name: str, triplets: np.ndarray) -> None:
        """Raises GraphError for a split whose numbers would be those of other triplets, or of none."""
        if name not in SPLITS:
            raise GraphError(f"split {name!r}; expected some of {', '.join(SPLITS)}")
        if triplets.ndim != 2 or triplets.shape[1] != 3 or triplets.dtype != np.int64:
            raise GraphError(f"{name}: {triplets.dtype} of shape {triplets.shape}; expected int64 of shape (n, 3)")
        if not len(triplets):
            return
        smallest, largest = triplets.min(axis=0).tolist(), triplets.max(axis=0).tolist()
        sizes = (self.num_entities, self.num_relations, self.num_entities)
        for slot, size in enumerate(sizes):
            if smallest[slot] < 0 or largest[slot] >= size:
                number = min(smallest[slot], 0) or largest[slot]
                raise GraphError(f"{name}: a {SLOT_NAMES[slot]} has the number {number}; expected 0 to {size - 1}")

    @property
    def num_entities(self) -> int:
        """The number of entities of the vocabulary, those that occur in no triplet too."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """The number of relations of the vocabulary."""
        return len(self.relations)

    def __getitem__(self, split: str) -> GraphSplit:
        """Returns a split by name; raises GraphError if there is none of that name."""
        if split not in self.splits:
            hint = "; lass-hf split holds triplets out for it" if split in SPLITS[1:] else ""
            raise GraphError(f"the graph has no split {split!r}; it has {', '.join(self.splits) or 'none'}{hint}")
        return self.splits[split]

    def __contains__(self, split: str) -> bool:
        """Returns whether there is a split of some name."""
        return split in self.splits

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}: {len(split)}" for name, split in self.splits.items())
        return f"KnowledgeGraph({self.num_entities} entities, {self.num_relations} relations, {splits})"

    def index_splits(self, *names: str) -> KnownTriplets:
        """Makes an index of the true triplets of some splits.

        Args:
            *names: Names of splits. Those that the graph lacks add no triplets.

        Returns:
            The index.
        """
        parts = [self.splits[name].positives for name in names if name in self.splits]
        triplets = np.concatenate(parts) if parts else np.empty((0, 3), dtype=np.int64)
        return KnownTriplets(triplets, self.num_entities, self.num_relations)

    @cached_property
    def known(self) -> KnownTriplets:
        """The index of the true triplets of all splits: the filter of the filtered setting."""
        return self.index_splits(*SPLITS)

    @cached_property
    def known_in_train(self) -> KnownTriplets:
        """The index of the true training triplets, none of which is drawn as a corrupted triplet."""
        return self.index_splits("train")

    @cached_property
    def candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The candidates for each slot: all entities, or relations, that occur in a triplet of any split, ascending.

        Heads and tails have the same candidates.
        """
        entities, relations = (np.flatnonzero(occurs) for occurs in self.occurring(*self.splits))
        return entities, relations, entities

    def occurs_in_train(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns which entities and which relations occur in a training triplet: two bool arrays."""
        return self.occurring("train")

    def occurring(self, *names: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns which entities and relations occur in a triplet of some splits.

        Args:
            *names: Names of splits. Those that the graph lacks add no triplets.

        Returns:
            Bool of shape (num_entities,), and bool of shape (num_relations,).
        """
        entities, relations = np.zeros(self.num_entities, dtype=bool), np.zeros(self.num_relations, dtype=bool)
        for name in self.splits.keys() & set(names):
            for slot, occurs in enumerate((entities, relations, entities)):
                occurs[self.splits[name].triplets[:, slot]] = True
        return entities, relations

    def low_resource(self, fraction: float, seed: int = 42) -> "KnowledgeGraph":
        """Returns the graph with a random part of its training triplets (paper, section 3.3).

        A model is trained on it and evaluated on the whole graph, whose triplets are the filter. A model with evidence,
        `num_neighbors`, `neighbor_weight` or `frequency_weight` is evaluated on this graph, because it uses all
        training triplets of the graph that it is evaluated on.

        Args:
            fraction: The share of the training triplets, more than 0 and at most 1.
            seed: Seed of the random numbers. The parts of one seed are nested.

        Returns:
            A graph with the same vocabularies and other splits.
        """
        part = self["train"].sample(fraction, seed)
        splits = {name: (split.triplets, split.labels) for name, split in self.splits.items()}
        return KnowledgeGraph(self.entities, self.relations, {**splits, "train": (part.triplets, part.labels)})

    def save_pretrained(self, folder: str | Path, include_triplets: bool = True) -> None:
        """Writes the graph into a model folder.

        Args:
            folder: The folder.
            include_triplets: Whether the true triplets of each split are written, as int32, besides the vocabularies.
        """
        vocabulary = {
            kind: {"id": names.ids, "text": names.texts}
            for kind, names in (("entities", self.entities), ("relations", self.relations))
        }
        Path(folder, VOCABULARY_FILE).write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        if include_triplets and self.splits:
            arrays = {name: np.ascontiguousarray(split.positives, np.int32) for name, split in self.splits.items()}
            save_file(arrays, Path(folder, TRIPLETS_FILE))

    @classmethod
    def from_files(cls, vocabulary_file: str | Path, triplets_file: str | Path | None) -> "KnowledgeGraph":
        """Reads the files that `save_pretrained` wrote.

        Args:
            vocabulary_file: The file of the vocabularies.
            triplets_file: The file of the triplets. None gives a graph without splits.

        Returns:
            The graph.

        Raises:
            GraphError: A file is damaged, or the two are not of the same graph; the message names the file.
        """
        for file in (vocabulary_file, triplets_file):
            if file is not None and not Path(file).is_file():  # such as a pipe, which would be waited for
                raise GraphError(f"{file}: no such file, or no regular one; expected the files of a saved graph")
        entities, relations = _read_vocabularies(vocabulary_file)
        try:
            arrays = load_file(triplets_file) if triplets_file is not None else {}
            if other := [array.dtype for array in arrays.values() if array.dtype not in (np.int32, np.int64)]:
                raise GraphError(f"numbers of type {other[0]}; expected int32")
            return cls(entities, relations, {name: (array.astype(np.int64), None) for name, array in arrays.items()})
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise GraphError(
                f"{triplets_file}: no triplets of the graph in {Path(vocabulary_file).name} ({first_line(error)}); get "
                "both files again, or save the model again"
            ) from None


def _read_vocabularies(file: str | Path) -> list[Vocabulary]:
    """Returns the vocabularies of entities and relations; raises GraphError for a damaged file."""
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        vocabularies = []
        for kind in ("entities", "relations"):
            ids, texts = content[kind]["id"], content[kind]["text"]
            if not isinstance(ids, list) or not isinstance(texts, list):
                raise GraphError(f"{kind}: no lists of ids and texts")
            vocabularies.append(Vocabulary(kind, ids, texts))
            vocabularies[-1].check()
        return vocabularies
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        fault = f"no {error}" if isinstance(error, KeyError) else first_line(error)
        raise GraphError(
            f"{file}: no vocabulary of a graph ({fault}); get the file again, or save the model again"
        ) from None

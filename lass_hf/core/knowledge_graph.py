"""The graph: strings end here. Entities, relations and triplets are integer arrays from this module on.

It holds vocabularies with texts, splits, and sorted-array lookup of known triplets; it knows no tokens and no models,
and leaves files, tables and the hub to modules that it imports when asked. Slots are 0, 1, 2 = head, relation, tail.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from .errors import GraphError
from .known_triplets import KnownTriplets
from .vocabulary import SPLITS, Vocabulary

VOCABULARY_FILE = "vocabulary.json"
TRIPLETS_FILE = "known_triplets.safetensors"


@dataclass
class GraphSplit:
    """One split: a map-style dataset of `{"head": int, "relation": int, "tail": int[, "label": int]}`.

    `triplets` is int64 of shape (n, 3), all lines of the file, duplicates too; `labels` is int8 of shape (n,), 1 or 0,
    or None when every triplet is true.
    """

    graph: "KnowledgeGraph" = field(repr=False)
    name: str
    triplets: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, position: int) -> dict[str, int]:
        head, relation, tail = self.triplets[position].tolist()
        item = {"head": head, "relation": relation, "tail": tail}
        if self.labels is not None:
            item["label"] = int(self.labels[position])
        return item

    def __getitems__(self, positions: Sequence[int]) -> "GraphSplit":
        """Returns the part of the split at some positions: what a data loader hands to its collator, as arrays."""
        return self.select(np.asarray(positions))

    @property
    def positives(self) -> np.ndarray:
        """The true triplets, int64 of shape (m, 3)."""
        return self.triplets if self.labels is None else self.triplets[self.labels == 1]

    def sample(self, fraction: float, seed: int = 42) -> "GraphSplit":
        """A seeded part of the split, in its order; the parts of one seed are nested. Raises GraphError for no part."""
        if not 0 < fraction <= 1:
            raise GraphError(f"fraction={fraction}; expected more than 0 and at most 1")
        count = max(1, round(fraction * len(self)))
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:count]))

    def select(self, positions: np.ndarray) -> "GraphSplit":
        """The split cut down to some positions, as `datasets.Dataset.select` does."""
        labels = None if self.labels is None else self.labels[positions]
        return GraphSplit(self.graph, self.name, self.triplets[positions], labels)


class KnowledgeGraph:
    """A knowledge graph with texts. Build it with `from_directory`, `from_triplets` or `from_datasets`."""

    def __init__(
        self,
        entities: Vocabulary,
        relations: Vocabulary,
        splits: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    ):
        self.entities = entities
        self.relations = relations
        self.splits = {
            name: GraphSplit(self, name, triplets, labels)
            for name, (triplets, labels) in sorted(splits.items(), key=lambda item: SPLITS.index(item[0]))
        }

    @property
    def num_entities(self) -> int:
        """All entities of the vocabulary, also those in no triplet."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        return len(self.relations)

    def __getitem__(self, split: str) -> GraphSplit:
        if split not in self.splits:
            raise GraphError(f"the graph has no split {split!r}; it has {', '.join(self.splits) or 'none'}")
        return self.splits[split]

    def __contains__(self, split: str) -> bool:
        return split in self.splits

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}: {len(split)}" for name, split in self.splits.items())
        return f"KnowledgeGraph({self.num_entities} entities, {self.num_relations} relations, {splits})"

    def index_of(self, *names: str) -> KnownTriplets:
        """Index of the true triplets of some splits; splits that the graph lacks add none."""
        parts = [self.splits[name].positives for name in names if name in self.splits]
        triplets = np.concatenate(parts) if parts else np.empty((0, 3), dtype=np.int64)
        return KnownTriplets(triplets, self.num_entities, self.num_relations)

    @cached_property
    def known(self) -> KnownTriplets:
        """Index of all true triplets of all splits: the filter of the filtered setting."""
        return self.index_of(*SPLITS)

    @cached_property
    def known_in_train(self) -> KnownTriplets:
        """Index of the true training triplets: what no corrupted triplet may be."""
        return self.index_of("train")

    @cached_property
    def candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each slot, the values that occur in any triplet of the graph, ascending (heads and tails alike)."""
        entities, relations = (np.flatnonzero(occurs) for occurs in self.occurring(*self.splits))
        return entities, relations, entities

    def occurs_in_train(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each entity, and each relation, occurs in a training triplet; two bool arrays."""
        return self.occurring("train")

    def occurring(self, *names: str) -> tuple[np.ndarray, np.ndarray]:
        """Whether each entity, and each relation, occurs in a triplet of some splits; splits that it lacks add none."""
        entities, relations = np.zeros(self.num_entities, dtype=bool), np.zeros(self.num_relations, dtype=bool)
        for name in self.splits.keys() & set(names):
            for slot, occurs in enumerate((entities, relations, entities)):
                occurs[self.splits[name].triplets[:, slot]] = True
        return entities, relations

    def low_resource(self, fraction: float, seed: int = 42) -> "KnowledgeGraph":
        """The graph with a seeded part of its training triplets (paper, 3.3); the parts of one seed are nested.

        Vocabularies and other splits stay. Train on it, and evaluate on the whole graph: that is the filter (for a
        model with `neighbor_weight` or `frequency_weight` on this one: all training triplets of a graph count there).
        """
        part = self["train"].sample(fraction, seed)
        splits = {name: (split.triplets, split.labels) for name, split in self.splits.items()}
        return KnowledgeGraph(self.entities, self.relations, {**splits, "train": (part.triplets, part.labels)})

    def summary(self) -> dict[str, Any]:
        """Counts and data_quality: duplicates, leaks, unseen entities, shared texts, contradictory labels."""
        return _graphs().summary.summarize(self)

    @classmethod
    def from_triplets(
        cls,
        train: Iterable[Sequence[Any]] | None = None,
        validation: Iterable[Sequence[Any]] | None = None,
        test: Iterable[Sequence[Any]] | None = None,
        *,
        entity_text: Mapping[str, str] | None = None,
        relation_text: Mapping[str, str] | None = None,
    ) -> "KnowledgeGraph":
        """From lists or arrays of (head, relation, tail) strings, optionally with a label (1 or 0/-1) as 4th value.

        Without texts, an id is its own text. With texts, each entity of the triplets must have one (GraphError).
        """
        sources = (train, validation, test)
        return cls(*_graphs().readers.from_triplets(sources, entity_text, relation_text))

    @classmethod
    def from_directory(cls, path: str | Path, *, long_text: bool = False) -> "KnowledgeGraph":
        """From a folder of tab-separated UTF-8 files without header (KG-BERT layout), or what `save_dataset` wrote.

        `train.tsv`; optional `dev.tsv` (or `valid.tsv`, `validation.tsv`) and `test.tsv`, a 4th column is a label;
        optional `entity2text.txt`, `relation2text.txt`. `long_text` takes texts from `entity2textlong.txt` where that
        has the entity, else from `entity2text.txt`. Raises GraphError, naming file and line, for bad input.
        """
        return cls(*_graphs().readers.from_directory(path, long_text))

    def to_datasets(self) -> dict[str, Any]:
        """`{"triplets": DatasetDict, "entities": Dataset, "relations": Dataset}`.

        Columns `head`, `relation`, `tail` and `id`, `text` are strings; `label` (int8, 1 / 0) is there in splits with
        labels only. To share a graph use `save_dataset`: its splits have the same columns, as a hub asks.
        """
        return _graphs().arrow_tables.to_datasets(self)

    @classmethod
    def from_datasets(cls, triplets: Any, entities: Any = None, relations: Any = None) -> "KnowledgeGraph":
        """The inverse of `to_datasets`: `KnowledgeGraph.from_datasets(**graph.to_datasets())` is the same graph.

        `triplets`: a DatasetDict, or dict of Datasets, of some of train, validation, test; other columns are ignored.
        A `label` is 1, or 0 or -1; a split whose labels are all null has none, so that splits can share their columns.
        `entities`, `relations`: Datasets, or what `load_dataset(folder, "entities")` gives; their rows are the graph's
        integers. Without them an id is its own text. Raises GraphError that names table and row (counted from 0) for
        columns that are missing or no strings, null or empty values, ids without or with several rows, other labels.
        """
        return cls(*_graphs().arrow_tables.from_datasets(triplets, entities, relations))

    def save_dataset(self, folder: str | Path) -> None:
        """Writes a dataset folder to share: Parquet files, and a card (README.md) that names them.

        `datasets.load_dataset(folder)`, `load_dataset(folder, "entities")` and `from_directory(folder)` read it; so
        does the hub, where `push_to_hub` puts it. All is written, or nothing. Raises GraphError
        for a folder that is not empty, unless it is a graph's dataset folder; that is replaced, its card too.
        """
        _graphs().dataset_folder.write_folder(self, folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload a knowledge graph",
    ) -> Any:
        """Uploads what `save_dataset` writes as a dataset of the hub; makes the repository if there is none.

        `datasets.load_dataset(repo_id)`, `load_dataset(repo_id, "entities")` and `from_hub` load it. `token`: by
        default that of `hf auth login`, or of HF_TOKEN. Raises HubError when the hub refuses or the connection breaks
        off.
        """
        return _graphs().hub.push_graph(self, repo_id, private=private, token=token, commit_message=commit_message)

    @classmethod
    def from_hub(cls, repo_id: str, *, long_text: bool = False, **kwargs: Any) -> "KnowledgeGraph":
        """From a dataset of the hub: what `push_to_hub` sent, or a folder as `from_directory` reads it.

        `kwargs` go to `huggingface_hub.snapshot_download` (`revision`, `token`, `cache_dir`, ...). Raises GraphError
        when the hub has no such dataset, or it is none of a graph.
        """
        return cls(*_graphs().hub.pull_graph(repo_id, long_text, **kwargs))

    def save_pretrained(self, folder: str | Path, include_triplets: bool = True) -> None:
        """Writes the vocabularies with texts, and the true triplets of each split as int32, into a model folder."""
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
        """Reads what `save_pretrained` wrote; without the triplets file, a graph that knows no triplet."""
        vocabulary = json.loads(Path(vocabulary_file).read_text(encoding="utf-8"))
        entities, relations = (
            Vocabulary(kind, vocabulary[kind]["id"], vocabulary[kind]["text"]) for kind in ("entities", "relations")
        )
        arrays = load_file(triplets_file) if triplets_file is not None else {}
        return cls(entities, relations, {name: (array.astype(np.int64), None) for name, array in arrays.items()})


def _graphs():
    """The wing that reads and writes other formats.

    This is the only way from core to another wing. The import is inside `try`, because transformers copies what other
    import statements name beside a saved model; that copy of the code reads no other graphs.

    Raises:
        GraphError: only the copy is there, and the package is not installed.
    """
    try:
        from lass_hf import graphs
        from lass_hf.graphs import arrow_tables, dataset_folder, hub, readers, summary  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lass_hf":
            raise
        raise GraphError(
            "the code saved with a model reads no other graphs, and writes none: install the package lass-hf"
        ) from None
    return graphs

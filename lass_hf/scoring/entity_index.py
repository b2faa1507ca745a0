"""`EntityIndex`: one vector for each entity, and the nearest of them to a query; exact, by blocked matrix products.

Pure geometry (squared Euclidean distance) over vectors that may lie on disk; it knows no model, tokenizer or graph.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..core.errors import LassError, NonFiniteError
from ..core.score_functions import ScoreFunction
from ..utils.distributed import place, processes, sum_over_processes
from .entity_index_files import Blocks, Texts, make_writable, read_blocks, remove_leftovers, spans_of, write_block

PIECE = 2**11  # entities encoded together: what processes share, and the progress bar moves by
QUERIES = 2**10  # queries compared with a block at a time: 64 MB of distances

NOTHING = 0x7F800000_FFFFFFFF  # the sort key of distance inf, behind every entity's

Encode = Callable[[np.ndarray], torch.Tensor]
Pairs = tuple[np.ndarray, np.ndarray]


class EntityIndex:
    """The vectors of entities 0, 1, 2, ... in blocks: float32 tensors of shape (entities of the block, dim).

    Blocks may be memory-mapped, and on any device; a search moves one at a time to the device of its queries. Distances
    are float32, |u|² + |t|² - 2 u·t, so they carry the rounding error of these sums, and equal vectors at different
    places can differ in the last bits, as a matrix product rounds by position: who needs exact ties gives entities that
    cannot be told apart one vector.
    """

    def __init__(self, blocks: Sequence[torch.Tensor]):
        if not sum(map(len, blocks)):
            raise LassError("an entity index without entities; expected one vector or more")
        self.blocks = list(blocks)
        self.starts = np.cumsum([0, *map(len, blocks)])
        self._norms: list[torch.Tensor | None] = [None] * len(self.blocks)

    @property
    def num_entities(self) -> int:
        return int(self.starts[-1])

    @property
    def dim(self) -> int:
        return self.blocks[0].shape[1]

    @classmethod
    def build(
        cls,
        encode: Encode,
        num_entities: int,
        texts: Texts,
        model: str,
        folder: str | Path | None = None,
        quiet: bool = False,
        shared: bool = True,
    ) -> "EntityIndex":
        """Encodes all entities, or those that `folder` lacks, and keeps them there, a file for each block.

        `encode(entities)`: int64 array of shape (n,), n = 0 too -> float32 tensor of shape (n, dim). `texts(start,
        stop)` digests what entities start to stop - 1 are encoded from, `model` is the fingerprint of the encoder.

        A file is written as soon as its block is finished, whole or not at all: what was killed goes on with the blocks
        that are there, and entities added at the end are the only ones encoded. Several processes share the entities of
        each block, the main one writes it, and all read the folder, which all must see. With `shared` False each works
        for itself, and need not be joined by the others; two that build in one folder write the same files. Raises
        LassError when the folder holds the index of another model or graph, or cannot be written; NonFiniteError for
        such vectors.
        """
        rank, count = place(shared)
        spans = spans_of(num_entities)
        blocks: Blocks = [None] * len(spans)
        if folder is not None:
            blocks = read_blocks(Path(folder), spans, texts, model)
        if shared:
            processes().wait_for_everyone()  # all have seen the same files; from here on they change
        kept = [0 if block is None else len(block) for block in blocks]
        waiting = [number for number, (start, stop) in enumerate(spans) if kept[number] < stop - start]
        if folder is not None and waiting:
            make_writable(Path(folder))
        dim = encode(np.arange(0)).shape[1] if count > 1 else 0
        with tqdm(
            total=sum(kept) + sum(spans[number][1] - spans[number][0] - kept[number] for number in waiting),
            initial=sum(kept),
            desc="encoding entities",
            unit=" entities",
            unit_scale=True,
            disable=quiet or not processes().is_main_process,
        ) as progress:
            for number in waiting:
                start, stop = spans[number]
                block = blocks[number]
                parts = [] if block is None else [block]
                for first in range(start + kept[number], stop, PIECE):
                    entities = np.arange(first, min(first + PIECE, stop))
                    mine = first // PIECE % count == rank
                    parts.append(
                        encode(entities).detach().to("cpu", torch.float32) if mine else torch.zeros(len(entities), dim)
                    )
                    progress.update(len(entities))
                block = torch.cat(parts)
                if count > 1:
                    block[kept[number] :] = torch.from_numpy(sum_over_processes(block[kept[number] :].numpy()))
                _squared_norms(block, start)
                if folder is None:
                    blocks[number] = block
                elif rank == 0:
                    write_block(Path(folder), number, block, start, texts, model)
        if folder is None:
            return cls([block for block in blocks if block is not None])
        if shared:
            processes().wait_for_everyone()
        if rank == 0 and waiting:
            remove_leftovers(Path(folder))
        return cls.load(folder, num_entities, texts, model)

    @classmethod
    def load(cls, folder: str | Path, num_entities: int, texts: Texts, model: str) -> "EntityIndex":
        """Opens what `build` wrote, memory-mapped; arguments as there.

        Raises LassError for an index that is not there, not finished, damaged, or of another model or graph.
        """
        blocks = read_blocks(Path(folder), spans_of(num_entities), texts, model)
        found = [block for block in blocks if block is not None]
        if sum(map(len, found)) < num_entities:
            raise LassError(
                f"{folder}: no index of all {num_entities:,} entities, {sum(map(len, found)):,} are there; "
                "build it first, which goes on with those"
            )
        return cls(found)

    def to(self, device: torch.device | str) -> "EntityIndex":
        """The same index with all blocks on a device."""
        return EntityIndex([block.to(device) for block in self.blocks])

    def vectors(self, entities: np.ndarray) -> torch.Tensor:
        """Vectors of entities, int array of any shape: float32 of that shape and (dim,), where the index is."""
        flat = entities.reshape(-1)
        found = torch.empty((len(flat), self.dim), device=self.blocks[0].device)
        of = np.searchsorted(self.starts, flat, side="right") - 1
        for number in np.unique(of):
            places = np.flatnonzero(of == number)
            found[places] = self.blocks[number][flat[places] - self.starts[number]]
        return found.reshape(*entities.shape, self.dim)

    @torch.no_grad()
    def distances(self, queries: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Squared distances of queries, (q, dim), to all entities: pairs of a first entity and float32 (q, entities).

        Block by block, on the device of the queries. Memory: one block and its distances.
        """
        queries = self.checked(queries)
        for number, start in enumerate(self.starts[:-1]):
            yield int(start), _squared_distances(queries, *self._block(number, queries.device))

    @torch.no_grad()
    def energies(self, queries: torch.Tensor, function: ScoreFunction) -> Iterator[tuple[int, torch.Tensor]]:
        """Energies of queries and all entities by a score function, block by block.

        Args:
            queries: Float32 of shape (q, k), or (q, 2k) for a score function without a query vector.
            function: The score function.

        Yields:
            The first entity of a block, and float32 of shape (q, entities of the block) on the queries' device.
        """
        if function.query is not None:
            yield from self.distances(queries)
            return
        for start, block in zip(self.starts[:-1].tolist(), self.blocks, strict=True):
            yield start, function.compare_all(queries, block.to(queries.device))

    @torch.no_grad()
    def nearest(self, queries: torch.Tensor, k: int, exclude: Pairs | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest entities of each query, (q, dim): squared distances, float32, and entities, int64, both (q, k).

        Nearest first, equal distances by the lower entity. `exclude`, (rows, entities): int arrays of equal length,
        pairs of a query and an entity that is no answer to it. Raises LassError when k is below 1 or more than what is
        left. Memory: one block, and the distances of QUERIES queries to it.
        """
        queries = self.checked(queries)
        rows, entities = np.divmod(self.excluded(len(queries), k, exclude), self.num_entities)
        order = np.argsort(entities, kind="stable")
        rows, entities = rows[order], entities[order]
        best = torch.full((len(queries), k), NOTHING, device=queries.device)
        worst = torch.full((len(queries),), torch.inf, device=queries.device)  # of the best k so far
        for number, start in enumerate(self.starts[:-1]):
            block, norms = self._block(number, queries.device)
            numbers = torch.arange(start, start + len(block), device=queries.device)
            first, last = np.searchsorted(entities, [start, start + len(block)])
            for at in range(0, len(queries), QUERIES):
                distances = _squared_distances(queries[at : at + QUERIES], block, norms)
                mine = first + np.flatnonzero((at <= rows[first:last]) & (rows[first:last] < at + QUERIES))
                distances[rows[mine] - at, entities[mine] - start] = torch.inf
                # Later entities are higher, so only a smaller distance displaces; most blocks have none.
                better = (distances.amin(1) < worst[at : at + QUERIES]).nonzero().squeeze(1)
                keys = sort_keys(distances[better], numbers).topk(min(k, len(block)), largest=False).values
                keys = torch.cat([best[at + better], keys], 1).topk(k, largest=False).values
                best[at + better] = keys
                worst[at + better] = from_sort_keys(keys[:, -1])[0]
        found, answers = from_sort_keys(best)
        return found.cpu().numpy(), answers.cpu().numpy()

    def excluded(self, num_queries: int, k: int, exclude: Pairs | None) -> np.ndarray:
        """Pairs as sorted distinct integers, row * num_entities + entity; raises LassError if fewer than k are left."""
        rows, entities = np.asarray(exclude if exclude is not None else ([], []), dtype=np.int64)
        for what, numbers, size in (("query", rows, num_queries), ("entity", entities, self.num_entities)):
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < size:
                raise LassError(f"exclude names {what} {numbers.min()} to {numbers.max()}; expected 0 to {size - 1}")
        pairs = np.unique(rows * self.num_entities + entities)
        left = self.num_entities - int(np.bincount(pairs // self.num_entities, minlength=1).max())
        if not 1 <= k <= left:
            raise LassError(
                f"k={k}; expected 1 to {left:,}: of {self.num_entities:,} entities, {self.num_entities - left:,} are "
                "excluded for a query"
            )
        return pairs

    def checked(self, queries: torch.Tensor) -> torch.Tensor:
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise LassError(f"queries of shape {tuple(queries.shape)}; expected (number, {self.dim})")
        if not torch.isfinite(queries).all():
            raise NonFiniteError(
                "the vector of a query is NaN or infinite; the model's weights or its precision are why"
            )
        return queries.float()

    def _block(self, number: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors and squared norms of a block on a device; norms are computed once."""
        block, norms = self.blocks[number].to(device), self._norms[number]
        if norms is None:
            norms = self._norms[number] = _squared_norms(block, int(self.starts[number]))
        return block, norms.to(device)


def sort_keys(distances: torch.Tensor, entities: torch.Tensor) -> torch.Tensor:
    """int64, distinct, in the order of (distance, entity): the bits of a float >= 0 are ordered as it is."""
    return (distances.contiguous().view(torch.int32).to(torch.int64) << 32) | entities


def from_sort_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances, float32, and entities, int64."""
    return (keys >> 32).to(torch.int32).view(torch.float32), keys & 0xFFFFFFFF


def _squared_distances(queries: torch.Tensor, block: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    distances = torch.addmm(norms, queries, block.T, alpha=-2)
    return distances.add_(queries.square().sum(1, keepdim=True)).clamp_(min=0)


def _squared_norms(vectors: torch.Tensor, start: int) -> torch.Tensor:
    norms = vectors.square().sum(1)
    bad = (~torch.isfinite(norms)).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"the vectors of {len(bad):,} entities are NaN or infinite, entity {start + int(bad[0])} is the first; "
            "the model's weights or its precision are why"
        )
    return norms

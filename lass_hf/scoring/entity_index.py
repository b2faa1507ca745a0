"""`EntityIndex`: one vector for each entity, and an exact search for the nearest of them by blocked matrix products.

It is geometry (squared Euclidean distances) over vectors that may lie on disk, and uses no model, tokenizer or graph.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..utils.atomic_files import remove_leftovers
from ..utils.distributed import place, processes, sum_over_processes
from .block_distances import FARTHEST, from_sort_keys, sort_keys, squared_distances, squared_norms
from .entity_index_files import (
    Blocks,
    DigestTexts,
    make_writable,
    read_blocks,
    spans_of_blocks,
    write_block,
)
from .search_inputs import Pairs, check_exclusions, check_queries
from .triplet_scorer import Progress

ENTITIES_ENCODED_AT_ONCE = 2**11  # Entities encoded together, by one process.
QUERIES_COMPARED_AT_ONCE = 2**10  # Queries compared with a block together. Their distances take 64 MB.

Encode = Callable[[np.ndarray], torch.Tensor]


class EntityIndex:
    """The vectors of entities 0, 1, 2, ... in blocks.

    A search moves one block at a time to the device of its queries. Distances are float32, |u|² + |t|² - 2 u·t, so they
    carry the rounding error of these sums. Equal vectors at different positions can have distances that differ in the
    last bits, because a matrix product rounds by position: where exact ties matter, read the vector of the same entity
    for all that cannot be told apart (`CandidateVectors.same_vector`).

    Args:
        blocks: Float32 tensors of shape (entities of the block, dim), in memory or memory-mapped, on any device.

    Raises:
        LassError: The blocks hold no entity.
    """

    def __init__(self, blocks: Sequence[torch.Tensor]):
        if not sum(map(len, blocks)):
            raise LassError("an entity index without entities; expected one vector or more")
        self.blocks = list(blocks)
        self.starts = np.cumsum([0, *map(len, blocks)])
        self._norms: list[torch.Tensor | None] = [None] * len(self.blocks)

    @property
    def num_entities(self) -> int:
        """The number of entities."""
        return int(self.starts[-1])

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return self.blocks[0].shape[1]

    @classmethod
    def build(
        cls,
        encode: Encode,
        num_entities: int,
        texts: DigestTexts,
        model: str,
        folder: str | Path | None = None,
        quiet: bool = False,
        shared: bool = True,
    ) -> "EntityIndex":
        """Encodes all entities, or those that a folder lacks, and writes each block to a file of the folder.

        A file is written as soon as its block is finished, as a whole or not at all. A build that was killed therefore
        continues with the next block, and after entities were added at the end only these are encoded.

        Args:
            encode: Function that encodes entities, int64 of shape (n,), where n can be 0, as float32 of shape (n, dim).
            num_entities: The number of entities.
            texts: Function of `start` and `stop` that digests the texts of the entities from start to stop - 1.
            model: The fingerprint of the encoder.
            folder: The folder of the files. All processes must see it. None keeps the vectors in memory.
            quiet: Whether no progress bar is shown.
            shared: Whether several processes, which must all call this method, encode a part of each block each; the
                main process writes the files. With False each process works alone, and two of them that use one folder
                write the same files.

        Returns:
            The index of all entities, memory-mapped if there is a folder.

        Raises:
            LassError: There are no entities, or a file is damaged or cannot be written.
            IndexFolderError: The folder holds the index of another model or graph, or cannot be written.
            NonFiniteError: Vectors are NaN or infinite.
        """
        spans = spans_of_blocks(num_entities)
        blocks: Blocks = [None] * len(spans) if folder is None else read_blocks(Path(folder), spans, texts, model)
        if shared:
            processes().wait_for_everyone()  # All processes have seen the same files. From here on the files change.
        num_kept = [0 if block is None else len(block) for block in blocks]
        unfinished = [number for number, (start, stop) in enumerate(spans) if num_kept[number] < stop - start]
        if folder is not None and not unfinished:
            return cls([block for block in blocks if block is not None])
        num_missing = sum(spans[number][1] - spans[number][0] - num_kept[number] for number in unfinished)
        is_writer = folder is not None and (not shared or processes().is_main_process)
        if folder is not None:
            make_writable(Path(folder))
        with tqdm(
            total=sum(num_kept) + num_missing,
            initial=sum(num_kept),
            desc="encoding entities",
            unit=" entities",
            unit_scale=True,
            disable=quiet or not processes().is_main_process,
        ) as progress:
            for number in unfinished:
                start, stop = spans[number]
                block = _finish_block(blocks[number], start, stop, encode, shared, progress)
                if folder is None:
                    blocks[number] = block
                elif is_writer:
                    write_block(Path(folder), number, block, start, texts, model)
        if folder is None:
            return cls([block for block in blocks if block is not None])
        if shared:
            processes().wait_for_everyone()
        if is_writer:
            remove_leftovers(Path(folder), "*.safetensors")
        return cls.load(folder, num_entities, texts, model)

    @classmethod
    def load(cls, folder: str | Path, num_entities: int, texts: DigestTexts, model: str) -> "EntityIndex":
        """Opens the files that `build` wrote, memory-mapped.

        Args:
            folder: The folder of the files.
            num_entities: The number of entities.
            texts: Function of `start` and `stop` that digests the texts of the entities from start to stop - 1.
            model: The fingerprint of the encoder.

        Returns:
            The index of all entities.

        Raises:
            LassError: The index is missing, unfinished or damaged.
            IndexFolderError: The index is that of another model or graph.
        """
        blocks = read_blocks(Path(folder), spans_of_blocks(num_entities), texts, model)
        existing = [block for block in blocks if block is not None]
        num_existing = sum(map(len, existing))
        if num_existing < num_entities:
            raise LassError(
                f"{folder}: no index of all {num_entities:,} entities, {num_existing:,} are there; "
                "build it first, which goes on with those"
            )
        return cls(existing)

    def to(self, device: torch.device | str) -> "EntityIndex":
        """Returns the same index with all blocks on a device.

        Args:
            device: The device.

        Returns:
            Another index, which shares the blocks that are on the device already.
        """
        return EntityIndex([block.to(device) for block in self.blocks])

    def vectors(self, entities: np.ndarray) -> torch.Tensor:
        """Returns the vectors of entities.

        Args:
            entities: Int array of any shape.

        Returns:
            Float32 of shape (*entities.shape, dim), on the device of the index.
        """
        flat = entities.reshape(-1)
        result = torch.empty((len(flat), self.dim), device=self.blocks[0].device)
        block_numbers = np.searchsorted(self.starts, flat, side="right") - 1
        for number in np.unique(block_numbers):
            positions = np.flatnonzero(block_numbers == number)
            result[positions] = self.blocks[number][flat[positions] - self.starts[number]]
        return result.reshape(*entities.shape, self.dim)

    @torch.no_grad()
    def distances(self, queries: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Computes the squared distances of queries to all entities, block by block.

        Args:
            queries: Float32 of shape (q, dim).

        Yields:
            The first entity of a block, and float32 of shape (q, entities of the block) on the queries' device.

        Raises:
            LassError: The queries have another shape.
            NonFiniteError: Vectors are NaN or infinite.
        """
        queries = check_queries(queries, self.dim)
        for number, start in enumerate(self.starts[:-1]):
            yield int(start), squared_distances(queries, *self._block(number, queries.device))

    @torch.no_grad()
    def nearest(self, queries: torch.Tensor, k: int, exclude: Pairs | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k nearest entities of each query, exactly.

        In memory are one block, and its distances to `QUERIES_COMPARED_AT_ONCE` queries.

        Args:
            queries: Float32 of shape (q, dim).
            k: The number of entities for each query.
            exclude: Rows of queries and entities, two int arrays of equal length: pairs that are not found.

        Returns:
            Squared distances, float32, and entities, int64, both of shape (q, k), nearest first; of equal distances the
            lower entity comes first. Where a query has fewer than k entities left, the last distances are infinite and
            their entities -1.

        Raises:
            LassError: The queries have another shape, or `k` is less than 1 or more than the number of entities.
            NonFiniteError: Vectors are NaN or infinite.
        """
        queries = check_queries(queries, self.dim)
        excluded = check_exclusions(len(queries), self.num_entities, k, exclude)
        rows, entities = np.divmod(excluded, self.num_entities)
        order = np.argsort(entities, kind="stable")
        rows, entities = rows[order], entities[order]
        best = torch.full((len(queries), k), FARTHEST, device=queries.device)
        # The largest of the k distances that each query has so far.
        worst = torch.full((len(queries),), torch.inf, device=queries.device)
        for number, start in enumerate(self.starts[:-1]):
            block, norms = self._block(number, queries.device)
            block_entities = torch.arange(start, start + len(block), device=queries.device)
            first, last = np.searchsorted(entities, [start, start + len(block)])
            for row in range(0, len(queries), QUERIES_COMPARED_AT_ONCE):
                end = row + QUERIES_COMPARED_AT_ONCE
                distances = squared_distances(queries[row:end], block, norms)
                pairs = first + np.flatnonzero((row <= rows[first:last]) & (rows[first:last] < end))
                distances[rows[pairs] - row, entities[pairs] - start] = torch.inf
                # Later entities are higher, so only a smaller distance displaces an entity. Most blocks have none.
                better = (distances.amin(1) < worst[row:end]).nonzero().squeeze(1)
                keys = sort_keys(distances[better], block_entities).topk(min(k, len(block)), largest=False).values
                keys = torch.cat([best[row + better], keys], 1).topk(k, largest=False).values
                best[row + better] = keys
                worst[row + better] = from_sort_keys(keys[:, -1])[0]
        nearest_distances, nearest_entities = from_sort_keys(best)
        nearest_entities[torch.isinf(nearest_distances)] = -1
        return nearest_distances.cpu().numpy(), nearest_entities.cpu().numpy()

    def _block(self, number: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the vectors and squared norms of a block on a device; the norms are computed once."""
        block, norms = self.blocks[number].to(device), self._norms[number]
        if norms is None:
            norms = self._norms[number] = squared_norms(block, int(self.starts[number]))
        return block, norms.to(device)


def _finish_block(
    block: torch.Tensor | None, start: int, stop: int, encode: Encode, shared: bool, progress: Progress
) -> torch.Tensor:
    """Returns the vectors of the entities from start to stop - 1, of which `block` holds the first ones."""
    rank, count = place(shared)
    num_kept = 0 if block is None else len(block)
    dim = encode(np.arange(0)).shape[1] if count > 1 else 0
    parts = [] if block is None else [block]
    for first in range(start + num_kept, stop, ENTITIES_ENCODED_AT_ONCE):
        entities = np.arange(first, min(first + ENTITIES_ENCODED_AT_ONCE, stop))
        if first // ENTITIES_ENCODED_AT_ONCE % count == rank:
            parts.append(encode(entities).detach().to("cpu", torch.float32))
        else:
            parts.append(torch.zeros(len(entities), dim))
        progress.update(len(entities))
    finished = torch.cat(parts)
    if count > 1:
        finished[num_kept:] = torch.from_numpy(sum_over_processes(finished[num_kept:].numpy()))
    squared_norms(finished, start)  # This raises an error before vectors that are not finite are written.
    return finished

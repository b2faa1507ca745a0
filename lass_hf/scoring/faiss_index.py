"""An approximate search for the nearest entities with FAISS (`pip install lass-hf[faiss]`).

FAISS proposes entities, and the vectors of an `EntityIndex` put them in order. So the distances are exact, but some of
the nearest entities can be missing; `FaissIndex.recall` measures how many are found.
"""

from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..core.errors import LassError, first_line
from .block_distances import from_sort_keys, sort_keys
from .entity_index import EntityIndex
from .search_inputs import Pairs, check_exclusions, check_queries

SAMPLE_SIZE = 2**18  # Entities that FAISS is trained on. Their vectors take 403 MB at 384 dimensions.
PROPOSAL_FACTOR = 10  # FAISS proposes this many times k entities.
VECTORS_AT_ONCE = 2**16  # Vectors of proposals in memory together. They take 100 MB at 384 dimensions.


class FaissIndex:
    """Searches an `EntityIndex` through FAISS, on the CPU.

    Args:
        index: The vectors of all entities.
        description: A description for FAISS's index factory, such as "Flat", "IVF2048,PQ48" or "HNSW32".
        parameters: Parameters of the search, such as "nprobe=32".
        seed: Seed of the sample of entities that FAISS is trained on.
        quiet: Whether no progress bar is shown.

    Attributes:
        index: The vectors of all entities.
        faiss: The FAISS index, whose numbers are the entities.

    Raises:
        LassError: FAISS is not installed, or refuses the description, the parameters or the number of entities.
    """

    def __init__(
        self, index: EntityIndex, description: str = "Flat", parameters: str = "", seed: int = 42, quiet: bool = False
    ):
        try:
            import faiss
        except ImportError:
            raise LassError("FAISS is not installed: pip install lass-hf[faiss]") from None
        self.index = index
        try:
            self.faiss = faiss.index_factory(index.dim, description, faiss.METRIC_L2)
            if not self.faiss.is_trained:
                random = np.random.default_rng(seed)
                sample = random.choice(index.num_entities, min(SAMPLE_SIZE, index.num_entities), replace=False)
                self.faiss.train(index.vectors(np.sort(sample)).cpu().numpy())
            with tqdm(
                total=index.num_entities, desc="filling FAISS", unit=" entities", unit_scale=True, disable=quiet
            ) as progress:
                for block in index.blocks:
                    self.faiss.add(block.cpu().numpy())
                    progress.update(len(block))
            if parameters:
                space: Any = faiss.ParameterSpace()
                space.set_index_parameters(self.faiss, parameters)
        except RuntimeError as error:
            raise LassError(
                f"FAISS refuses {description!r} with parameters {parameters!r} for {index.num_entities:,} entities "
                f"({first_line(error)}); name another description"
            ) from None

    @torch.no_grad()
    def nearest(self, queries: torch.Tensor, k: int, exclude: Pairs | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Finds near entities of each query, as `EntityIndex.nearest` does, but some of the nearest can be missing.

        Args:
            queries: Float32 of shape (q, dim).
            k: The number of entities for each query.
            exclude: Rows of queries and entities, two int arrays of equal length: pairs that are not found.

        Returns:
            Squared distances, float32, and entities, int64, both of shape (q, k), nearest first. Where fewer than k
            entities are found, the last distances are infinite and their entities -1.

        Raises:
            LassError: The queries have another shape, or `k` is less than 1 or more than the number of entities.
            NonFiniteError: A query is NaN or infinite.
        """
        queries = check_queries(queries, self.index.dim).cpu()
        size = self.index.num_entities
        pairs = check_exclusions(len(queries), size, k, exclude)
        most_excluded = int(np.bincount(pairs // size, minlength=1).max())
        num_proposals = min(PROPOSAL_FACTOR * k + most_excluded, size)
        distances = np.empty((len(queries), k), dtype=np.float32)
        entities = np.empty((len(queries), k), dtype=np.int64)
        step = max(1, VECTORS_AT_ONCE // num_proposals)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            proposals = self.faiss.search(queries[part].numpy(), num_proposals)[1]
            rows = np.arange(start, start + len(proposals))[:, None]
            absent = (proposals < 0) | np.isin(rows * size + proposals, pairs)
            proposals[absent] = 0
            exact = (self.index.vectors(proposals).cpu() - queries[part, None]).square().sum(2)
            exact[torch.from_numpy(absent)] = torch.inf
            keys = sort_keys(exact, torch.from_numpy(proposals)).topk(k, largest=False).values
            distances[part], entities[part] = (tensor.numpy() for tensor in from_sort_keys(keys))
        entities[np.isinf(distances)] = -1
        return distances, entities

    def recall(self, queries: torch.Tensor, k: int = 10) -> float:
        """Returns the share of the k nearest entities of queries that the search finds.

        Args:
            queries: Float32 of shape (q, dim).
            k: The number of entities for each query.

        Returns:
            A number from 0 to 1.
        """
        exact, approximate = self.index.nearest(queries, k)[1], self.nearest(queries, k)[1]
        return float((exact[:, :, None] == approximate[:, None, :]).any(2).mean())

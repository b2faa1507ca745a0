"""Approximate nearest entities with FAISS (`pip install lass-hf[faiss]`), and how many of the exact ones it finds.

FAISS proposes entities, the vectors of an `EntityIndex` put them in order: distances are exact, answers can be missing.
"""

from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..core.errors import LassError, first_line
from .entity_index import EntityIndex, Pairs, from_sort_keys, sort_keys

SAMPLE = 2**18  # entities that FAISS is trained on; 403 MB at 384 dimensions
PROPOSALS = 10  # FAISS proposes this many times k
GATHERED = 2**16  # vectors gathered at a time; 100 MB at 384 dimensions


class FaissIndex:
    """Searches an `EntityIndex` through FAISS, on the CPU.

    `description`: of FAISS's index factory, such as "Flat", "IVF2048,PQ48", "HNSW32". `parameters`: of the search, such
    as "nprobe=32". `faiss` is the FAISS index itself, numbered like the entities. Raises LassError when FAISS is not
    installed, or refuses description, parameters or the number of entities.
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
                sample = random.choice(index.num_entities, min(SAMPLE, index.num_entities), replace=False)
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
        """As `EntityIndex.nearest`, but some answers can be missing; places left over have entity -1, distance inf."""
        queries = self.index.checked(queries).cpu()
        pairs = self.index.excluded(len(queries), k, exclude)
        size = self.index.num_entities
        most = int(np.bincount(pairs // size, minlength=1).max())
        proposals = min(PROPOSALS * k + most, size)
        distances = np.empty((len(queries), k), dtype=np.float32)
        entities = np.empty((len(queries), k), dtype=np.int64)
        step = max(1, GATHERED // proposals)
        for at in range(0, len(queries), step):
            part = queries[at : at + step]
            found = self.faiss.search(part.numpy(), proposals)[1]
            rows = np.arange(at, at + len(part))[:, None]
            absent = (found < 0) | np.isin(rows * size + found, pairs)
            found[absent] = 0
            exact = (self.index.vectors(found).cpu() - part[:, None]).square().sum(2)
            exact[torch.from_numpy(absent)] = torch.inf
            keys = sort_keys(exact, torch.from_numpy(found)).topk(k, largest=False).values
            distances[at : at + step], entities[at : at + step] = (each.numpy() for each in from_sort_keys(keys))
        entities[np.isinf(distances)] = -1
        return distances, entities

    def recall(self, queries: torch.Tensor, k: int = 10) -> float:
        """The share of the exact k nearest entities of these queries that it finds."""
        exact, found = self.index.nearest(queries, k)[1], self.nearest(queries, k)[1]
        return float((exact[:, :, None] == found[:, None, :]).any(2).mean())

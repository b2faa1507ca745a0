"""The negatives of earlier batches: a bi-encoder's vectors of answers, kept for later steps."""

import torch


class NegativeQueue:
    """The newest vectors of the entities of earlier batches: each entity once, the oldest first.

    It is also known as a cross-batch memory (Wang et al., CVPR 2020), or as pre-batch negatives (SimKGC; Wang et al.,
    ACL 2022). The vectors are those of the encoder as it was then, and no gradient flows into them.

    Attributes:
        vectors: Float32 of shape (n, k).
        entities: Int64 of shape (n,), the entities that the vectors are of, all different.
    """

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self.entities)

    def clear(self) -> None:
        """Drops all vectors."""
        self.vectors, self.entities = torch.empty(0, 0), torch.empty(0, dtype=torch.int64)

    def extend(self, vectors: torch.Tensor, entities: torch.Tensor, size: int) -> None:
        """Adds the vectors of a batch, in place of older ones of the same entities.

        Args:
            vectors: Float32 of shape (m, k). They are detached.
            entities: Int64 of shape (m,), all different.
            size: How many vectors are kept, at least 1; the newest ones.
        """
        if len(self):
            others = ~torch.isin(self.entities, entities)
            vectors = torch.cat([self.vectors[others], vectors.detach()])
            entities = torch.cat([self.entities[others], entities])
        self.vectors, self.entities = vectors.detach()[-size:].clone(), entities[-size:].clone()

    def candidates(
        self, vectors: torch.Tensor, entities: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the candidates of a batch and, of those entities that are not among them, the ones of the queue.

        Args:
            vectors: Float32 of shape (m, k), the candidates' vectors.
            entities: Int64 of shape (m,), the candidates, all different.

        Returns:
            The vectors of all candidates, (M, k), through which gradients flow back to the batch; the candidates,
            ascending, (M,); and which ones come from the queue, bool (M,).
        """
        queued = torch.zeros_like(entities, dtype=torch.bool)
        if len(self):
            others = ~torch.isin(self.entities, entities)
            vectors = torch.cat([vectors, self.vectors[others]])
            entities = torch.cat([entities, self.entities[others]])
            queued = torch.cat([queued, torch.ones_like(entities[len(queued) :], dtype=torch.bool)])
        entities, order = entities.sort()
        return vectors[order], entities, queued[order]

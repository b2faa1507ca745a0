"""The published code's way of scoring, re-created from its description, for comparisons with lass-hf.

Each triplet is assembled and tokenized in Python, and padded to 192 tokens. Everything is float32. The masked-LM head
runs on every token, although its loss has the weight 0. The sequences are those of lass-hf, so that scores can be
compared.
"""

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from lass_hf import KnowledgeGraph
from lass_hf.core.encoders import resolve_encoder
from lass_hf.core.score_functions import translation
from lass_hf.core.score_heads import distance_factor, score_of_energy

PADDED_LENGTH = 192
BATCH_SIZE = 16  # sequences per GPU; the published code uses 8 GPUs


class PublishedRecipe:
    """Scores triplets of a graph as the published code does.

    Args:
        encoder: the name or folder of a masked language model.
        graph: the graph with the texts.
        device: where the model runs.
    """

    def __init__(self, encoder: str, graph: KnowledgeGraph, device: torch.device):
        self.graph = graph
        self.tokenizer = AutoTokenizer.from_pretrained(resolve_encoder(encoder))
        self.model = AutoModelForMaskedLM.from_pretrained(resolve_encoder(encoder)).to(device).eval()

    def _sequence(self, triplet: np.ndarray) -> tuple[list[int], list[int]]:
        """Returns the token ids and segment numbers of one triplet, padded."""
        head, relation, tail = triplet.tolist()
        texts = self.graph.entities.texts[head], self.graph.relations.texts[relation], self.graph.entities.texts[tail]
        tokens, segments = [self.tokenizer.cls_token_id], [0]
        for number, text in enumerate(texts, start=1):
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            tokens += [*ids, self.tokenizer.sep_token_id]
            segments += [number] * len(ids) + [0]
        missing = PADDED_LENGTH - len(tokens)
        tokens, segments = tokens[:PADDED_LENGTH], segments[:PADDED_LENGTH]
        return tokens + [self.tokenizer.pad_token_id] * missing, segments + [0] * missing

    def forward(self, triplets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the scores of a batch (Eq. 1; float32, shape (n,)), and the logits of the masked-LM head."""
        rows = [self._sequence(triplet) for triplet in triplets]
        tokens, segments = (torch.tensor(column, device=self.model.device) for column in zip(*rows, strict=True))
        mask = (tokens != self.tokenizer.pad_token_id).long()
        output = self.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        hidden = output.hidden_states[-1]
        pooled = []
        for number in (1, 2, 3):
            in_segment = (segments == number)[..., None].float()
            pooled.append((hidden * in_segment).sum(1) / in_segment.sum(1))
        head, relation, tail = pooled
        scores = score_of_energy(translation(head, relation, tail), 7.0, distance_factor("sqrt_dim", head.shape[-1]))
        return scores, output.logits

    @torch.no_grad()
    def score(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the scores of triplets, integers of shape (n, 3), as float32 of shape (n,)."""
        batches = np.array_split(triplets, -(-len(triplets) // BATCH_SIZE))
        return torch.cat([self.forward(batch)[0] for batch in batches]).cpu().numpy()

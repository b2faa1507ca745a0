"""The bi-encoder in the tests: processors, models, and scores worked out by hand."""

import numpy as np
import torch

from helpers.tiny import make_graph, make_model, make_processor

GEOMETRIES = {
    "sqrt_dim": {},
    "none": {"distance_scale": "none"},
    "unit_length": {"normalize": True, "scale": 12.0},
    "own": {"normalize": True, "scale": 12.0, "self_match_weight": 0.0183156},
    "fixed": {"normalize": True, "scale": 12.0, "learn_scale": False},
}


def bi_encoder_processor(graph=None, **choices):
    return make_processor(graph or make_graph(), architecture="bi-encoder", **choices)


def bi_encoder_model(kind="bert", **choices):
    return make_model(kind, architecture="bi-encoder", **{**GEOMETRIES["unit_length"], **choices})


def texts_of_triplets(graph, triplets):
    entities, relations = graph.entities.texts, graph.relations.texts
    return [(entities[h], relations[r], entities[t]) for h, r, t in triplets.tolist()]


def pooled(model, processor, *texts_and_segments):
    """Mean of each segment of one sequence, float64, from the encoder alone."""
    tokenizer = processor.tokenizer
    ids, segments = [tokenizer.cls_token_id], [0]
    for text, segment in texts_and_segments:
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += [*tokens, tokenizer.sep_token_id]
        segments += [segment] * len(tokens) + [0]
    with torch.no_grad():
        hidden = model.encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].double().numpy()
    return [hidden[np.array(segments) == segment].mean(axis=0) for _, segment in texts_and_segments]


def score_by_hand(model, processor, head, relation, tail):
    """Eq. 1 of the tail's query, and of the head's."""
    config, scores = model.config, []
    inverse = f"inverse of {relation}"
    for entity, name, answer in ((head, relation, tail), (tail, inverse, head)):
        h, r = pooled(model, processor, (entity, 1), (name, 2))
        (t,) = pooled(model, processor, (answer, 3))
        u = h + r
        factor = 1 / np.sqrt(len(u)) if config.distance_scale == "sqrt_dim" else 1.0
        if config.normalize:
            u, t, factor = u / np.linalg.norm(u), t / np.linalg.norm(t), model.distance_factor().item()
        own = np.log(config.self_match_weight) if head == tail else 0.0
        scores.append(config.margin - factor / 2 * ((u - t) ** 2).sum() + own)
    return scores

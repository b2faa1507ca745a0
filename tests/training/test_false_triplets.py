"""False triplets of the training split: every loss of either architecture learns from them."""

import collections
import functools

import numpy as np
import pytest
import torch
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor, score_by_hand, texts_of_triplets
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TRAIN, VALIDATION, make_model, make_processor
from helpers.trainings import RecordingCollator, losses_of, make_trainer, trainer_of

from lass_hf import KGDataCollator, KnowledgeGraph
from lass_hf.core.errors import LassError
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.structure.facts import Facts
from lass_hf.training.data_collators import InBatchCollator

FALSE = [("food", "eats", "cat"), ("cheese", "lives_in", "garden"), ("cat", "is_a", "rodent")]
ARCHITECTURES = ("cross-encoder", "bi-encoder")
LOSSES = [
    *(("cross-encoder", loss) for loss in ("negative_sampling", "mean_bce", "softmax")),
    *(("bi-encoder", loss) for loss in ("negative_sampling", "softmax")),
]


def graph_with(false=FALSE, first=()):
    rows = [(*row, "0") for row in first] + [(*row, "1") for row in TRAIN] + [(*row, "0") for row in false]
    return KnowledgeGraph.from_triplets(rows, VALIDATION, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)


@pytest.mark.parametrize(("architecture", "loss"), [LOSSES[0], LOSSES[1], LOSSES[3]])
def test_a_false_triplet_falls_below_what_it_is_without(architecture, loss, tmp_path):
    """The other two losses are compared with their formulas, below."""
    graph, differences = graph_with([("house", "is_a", "animal")]), []
    for split in (graph["train"], graph["train"].select(np.arange(len(TRAIN)))):
        choices = {"learning_rate": 1e-2, "optim": "adamw_torch", "max_steps": 4, "per_device_train_batch_size": 15}
        model = bi_encoder_model().train() if architecture == "bi-encoder" else None
        trainer = trainer_of(tmp_path, graph, architecture, model, split, loss=loss, **choices)
        trainer.train()
        scorer = TripletScorer(trainer.model.eval(), trainer.processing_class.token_store(graph))
        scores = scorer.score(graph["train"].triplets)
        differences.append(scores[-1] - scores[:-1].mean())  # a softmax says nothing about the level of scores
    assert differences[0] < differences[1] - 0.3


@pytest.mark.parametrize(
    ("architecture", "loss", "neighborhood_size"), [*((*one, 1) for one in LOSSES), (*LOSSES[-1], 4)]
)
def test_an_epoch_has_each_triplet_once(architecture, loss, neighborhood_size, tmp_path):
    graph = graph_with()
    given = {"loss": loss, "neighborhood_size": neighborhood_size, "per_device_train_batch_size": 5}
    trainer = trainer_of(tmp_path, graph, architecture, **given)
    labels = [batch["labels"] for batch in trainer.get_train_dataloader()]
    assert sum(int((one == 1).sum()) for one in labels) == len(TRAIN)
    assert len(labels) == 4
    seen = collections.Counter()
    for part in trainer.get_train_dataloader().batch_sampler:
        seen.update(map(tuple, graph["train"].triplets[part].tolist()))
    assert seen == collections.Counter(map(tuple, graph["train"].triplets.tolist()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_labels_of_true_triplets_change_no_batch(architecture, processor):
    kinds = {"cross-encoder": KGDataCollator, "bi-encoder": InBatchCollator}
    labeled = graph_with(())
    plain = KnowledgeGraph(labeled.entities, labeled.relations, {"train": (labeled["train"].triplets, None)})
    batches = []
    for graph in (labeled, plain):
        given = bi_encoder_processor(graph) if architecture == "bi-encoder" else processor
        batches.append(kinds[architecture](given, graph)(graph["train"]))
    assert labeled["train"].labels is not None
    assert batches[0].keys() == batches[1].keys()
    assert "is_false" not in batches[0]
    for name, array in batches[0].items():
        assert array == batches[1][name] if name == "length_buckets" else torch.equal(array, batches[1][name])


# Cross-encoder


def test_negatives_of_positives_stay_when_false_triplets_have_some(processor):
    graph = graph_with(first=FALSE[:1])
    plain, corrupting = (KGDataCollator(processor, graph, 2, corrupt_false=given) for given in (False, True))
    split = graph["train"]
    triplets, labels = plain.with_negatives(split.triplets, split.labels, epoch=3)
    more, more_labels = corrupting.with_negatives(split.triplets, split.labels, epoch=3)
    assert (
        triplets[1:7].tolist()
        != more[1:7].tolist()
        == corrupting.uniform_sampler.corrupt(split.triplets[:1], 3).triplets.tolist()
    )
    start = more_labels.argmax()
    assert more[start:][: 7 * len(TRAIN)].tolist() == triplets[labels.argmax() :][: 7 * len(TRAIN)].tolist()
    assert len(more) - len(triplets) == 6 * 4


def test_the_softmax_loss_of_a_step_compares_false_triplets_with_their_negatives(tmp_path):
    graph = graph_with(first=FALSE[:1])
    processor = make_processor(graph)
    collator = RecordingCollator(processor, graph, num_negatives=2, corrupt_false=True)
    choices = {"loss": "softmax", "learning_rate": 0.0, "per_device_train_batch_size": 18}
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, **choices)
    trainer.train()
    ((_, batch),) = collator.batches
    labels, groups, is_false = (batch.pop(name) for name in ("labels", "groups", "is_false"))
    assert int(is_false.sum()) == 4
    with torch.no_grad():
        weights = make_model()(**batch).scores.double().exp()
    expected = 0.0
    for group in range(18):
        rows = groups == group
        lead = rows & (is_false | (labels == 1))
        assert int(lead.sum()) == 1
        p = weights[lead] / weights[rows].sum()
        expected += -float(torch.log(1 - p if is_false[lead] else p)) / len(TRAIN)
    assert losses_of(trainer) == pytest.approx([expected], rel=1e-3)


def test_a_collator_without_negatives_of_false_triplets_does_not_fit_the_softmax_loss(tmp_path):
    graph = graph_with()
    processor = make_processor(graph)
    trainer = make_trainer(tmp_path, graph, processor, data_collator=KGDataCollator(processor, graph), loss="softmax")
    with pytest.raises(LassError, match="corrupt_false=True"):
        trainer.train()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_false_triplets_alone_are_no_training_split(architecture, tmp_path):
    graph = graph_with()
    split = graph["train"].select(np.arange(len(TRAIN), len(TRAIN) + 2))
    with pytest.raises(LassError, match="false triplets only"):
        trainer_of(tmp_path, graph, architecture, train_dataset=split)


# Bi-encoder


SCORED = functools.cache(score_by_hand)  # both losses need the same


def likelihood_terms(model, processor, graph, items, loss):
    """The sum of the terms of both queries of each item, by the formulas, one answer after the other."""
    answers = sorted({entity for head, _, tail, _ in items for entity in (head, tail)})
    known = set(map(tuple, graph["train"].positives.tolist()))
    total = 0.0
    for head, relation, tail, label in items:
        for side, own in ((0, tail), (1, head)):
            weights = {}
            for answer in answers:
                triplet = (head, relation, answer) if side == 0 else (answer, relation, tail)
                if label and answer != own and triplet in known:
                    continue  # A true answer is no negative; a false answer is compared with it.
                text = texts_of_triplets(graph, np.array([triplet]))[0]
                weights[answer] = np.exp(SCORED(model, processor, *text)[side])
            if loss == "softmax":
                p = weights[own] / sum(weights.values())
                total -= np.log(p if label else 1 - p)
            else:
                total += np.log1p(1 / weights[own] if label else weights[own])
                total += sum(np.log1p(weight) for answer, weight in weights.items() if label and answer != own)
    return total


@pytest.fixture(scope="module")
def bi_encoder():
    return bi_encoder_model().eval(), bi_encoder_processor(graph_with())


@pytest.mark.parametrize("loss", ["softmax", "negative_sampling"])
def test_the_loss_of_a_batch_is_the_likelihood_of_each_label(loss, bi_encoder, tmp_path):
    graph, (model, processor) = graph_with(), bi_encoder
    trainer = trainer_of(tmp_path, graph, "bi-encoder", model, loss=loss)
    split = graph["train"].select(np.array([0, 2, 16, 5, 14]))  # (cat, is_a, animal) is true, (cat, is_a, rodent) false
    batch = trainer.data_collator(split)
    assert batch["labels"].tolist() == [1, 1, 0, 1, 0]
    items = [(*triplet, label) for triplet, label in zip(split.triplets.tolist(), split.labels.tolist(), strict=True)]
    expected = likelihood_terms(model, processor, graph, items, loss)
    assert trainer.compute_loss(model, batch).item() == pytest.approx(expected / 6, rel=1e-3)  # 2 queries, 3 positives


def test_entities_of_false_triplets_are_candidates_of_the_whole_batch():
    graph = graph_with()
    batch = InBatchCollator(bi_encoder_processor(graph), graph)(graph["train"].select(np.array([2, 15])))
    names = {graph.entities.ids[number] for number in batch["candidates"].tolist()}
    assert names == {"mouse", "rodent", "cheese", "garden"}


# What the graph knows


def test_false_triplets_are_no_facts():
    graph, plain = graph_with(), graph_with(())
    assert np.array_equal(Facts.from_graph(graph).triplets, Facts.from_graph(plain).triplets)
    processors = [bi_encoder_processor(one, num_neighbors=3) for one in (graph, plain)]
    stores = [given.token_store(one) for given, one in zip(processors, (graph, plain), strict=True)]
    for name in ("tokens", "offsets"):
        assert np.array_equal(getattr(stores[0], name), getattr(stores[1], name))

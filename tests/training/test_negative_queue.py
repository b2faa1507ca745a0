"""The negatives of earlier batches: what the queue holds, and the loss of each step, worked out by hand."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor, pooled
from helpers.tiny import make_graph, one_line
from helpers.trainings import losses_of, make_trainer, trainer_of
from transformers import TrainerCallback

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import LassError
from lass_hf.training.in_batch_candidates import NegativeQueue, naming_mask

# The queue


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_queue_holds_the_newest_vector_of_each_entity(size):
    """Compared with a dict, whose keys are in the order in which they were set last.

    A batch has vectors of -b and b, so that a deviation tells the number b of the batch, and the mean is 0.
    """
    random, queue, expected = np.random.default_rng(0), NegativeQueue(), {}
    for batch in range(30):
        entities = np.sort(random.choice(20, 2 * random.integers(1, 4), replace=False))
        numbers = np.tile([-float(batch), float(batch)], len(entities) // 2)
        vectors = torch.from_numpy(numbers)[:, None].repeat(1, 3).requires_grad_()
        queue.extend(vectors + 7, torch.from_numpy(entities), size)
        for entity, number in zip(entities.tolist(), numbers.tolist(), strict=True):
            expected.pop(entity, None)
            expected[entity] = number
        expected = dict(list(expected.items())[-size:])
        assert queue.entities.tolist() == list(expected)
        assert queue.deviations.tolist() == [[value] * 3 for value in expected.values()]
        assert not queue.deviations.requires_grad
        assert len(queue) == len(expected)


def test_candidates_of_the_queue_join_those_of_the_batch_once_and_without_gradient():
    """The mean of the first batch is 20, and that of the second one 1."""
    queue = NegativeQueue()
    batch, entities = torch.arange(3.0)[:, None].requires_grad_(), torch.tensor([2, 5, 9])
    vectors, every, queued = queue.candidates(batch, entities)
    assert (vectors.tolist(), every.tolist(), queued.any().item()) == ([[0], [1], [2]], [2, 5, 9], False)
    queue.extend(torch.tensor([[10.0], [20.0], [30.0]]), torch.tensor([1, 5, 7]), 8)
    vectors, every, queued = queue.candidates(batch, entities)
    assert every.tolist() == [1, 2, 5, 7, 9]
    assert vectors.tolist() == [[-9], [0], [1], [11], [2]]
    assert queued.tolist() == [True, False, False, True, False]
    assert not vectors.requires_grad
    queue.clear()
    assert not len(queue)


# The loss


class Recorder(TrainerCallback):
    """Keeps the model before each batch of a training, beside the triplets and labels of the batch."""

    def __init__(self, trainer):
        self.batches, loss = [], trainer.training_objective.loss

        def recording(model, outputs, loss_inputs, *rest):
            batch = loss_inputs["triplets"].tolist(), loss_inputs["labels"].tolist()
            self.batches.append((deepcopy(model).eval(), *batch, trainer.state.global_step))
            return loss(model, outputs, loss_inputs, *rest)

        trainer.training_objective.loss = recording


def term(kind, scores, own, label):
    """The loss of one query: `scores` by answer, of which `own` is the one that is labeled."""
    if kind == "softmax":
        total = sum(np.exp(score) for score in scores.values())
        p = np.exp(scores[own]) / total
        return -np.log(p if label else 1 - p)
    if not label:
        return np.logaddexp(0, scores[own])
    return np.logaddexp(0, -scores[own]) + sum(np.logaddexp(0, scores[other]) for other in scores if other != own)


def losses_by_hand(graph, processor, batches, size, first, kind):
    """The loss of each step, from the encoder's vectors of one sequence at a time; one dict is the queue.

    A query has a loss among the entities of the batch and, from the step `first` on, half of one beside those of
    earlier batches.
    """
    texts, relations = graph.entities.texts, graph.relations.texts
    labels = graph["train"].labels
    true = graph["train"].triplets if labels is None else graph["train"].triplets[labels == 1]
    known, steps, queue = {tuple(row) for row in true.tolist()}, {}, {}
    started = set()
    for model, triplets, given, step in batches:
        if step < first and step not in started:
            queue = {}
        started.add(step)
        config, factor = model.config, model.distance_factor().item()
        unit = lambda vector: vector / np.linalg.norm(vector)  # noqa: E731
        entities = {entity for head, _, tail in triplets for entity in (head, tail)}
        now = {entity: unit(pooled(model, processor, (texts[entity], 3))[0]) for entity in sorted(entities)}
        mean = np.mean(list(now.values()), axis=0)
        older = {entity: vector + mean for entity, vector in queue.items() if entity not in now}
        sums = steps.setdefault(step, [0.0, 0])
        for (head, relation, tail), label in zip(triplets, given, strict=True):
            for own, other, name in (
                (tail, head, relations[relation]),
                (head, tail, f"inverse of {relations[relation]}"),
            ):
                u = unit(sum(pooled(model, processor, (texts[other], 1), (name, 2))))
                for weight, candidates in ((1, now), (0.5, {own: now[own], **older}))[: 1 + bool(queue)]:
                    scores = {}
                    for answer, vector in candidates.items():
                        asks_tail = own == tail and other == head
                        triplet = (head, relation, answer) if asks_tail else (answer, relation, tail)
                        if answer != own and triplet in known and label:
                            continue
                        scores[answer] = config.margin - factor / 2 * ((u - vector) ** 2).sum()
                        scores[answer] += np.log(config.self_match_weight) if answer == other else 0.0
                    sums[0] += weight * term(kind, scores, own, label)
            sums[1] += 2 * label
        for entity, vector in now.items():
            queue.pop(entity, None)
            queue[entity] = vector - mean
        queue = dict(list(queue.items())[-size:])
    return [total / count for total, count in steps.values()]


def queue_trainer(folder, graph=None, **choices):
    """A trainer whose few steps move the vectors, with a queue of all entities."""
    model = bi_encoder_model(self_match_weight=0.3).train()
    defaults = {
        "learning_rate": 0.02,
        "per_device_train_batch_size": 3,
        "queue_size": 100,
        "num_train_epochs": 2,
    }
    return trainer_of(folder, graph or make_graph(), "bi-encoder", model, **{**defaults, **choices})


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("softmax", {}),
        ("softmax", {"queue_size": 4}),
        ("softmax", {"max_steps": 11}),
        ("softmax", {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}),
        ("negative_sampling", {}),
    ],
)
@pytest.mark.parametrize("labeled", [False, True])
def test_the_loss_of_each_step_is_that_of_the_batch_and_of_earlier_ones(kind, choices, labeled, tmp_path):
    """The vectors of earlier batches are those of the weights of their steps."""
    graph = make_graph()
    if labeled:
        triplets, false = graph["train"].triplets, np.array([[8, 1, 0], [6, 0, 1]])
        labels = np.repeat([1, 0], [len(triplets), len(false)]).astype(np.int8)
        graph = KnowledgeGraph(
            graph.entities,
            graph.relations,
            {"train": (np.concatenate([triplets, false]), labels), "validation": (triplets[:1], None)},
        )
    trainer = queue_trainer(tmp_path, graph, loss=kind, **choices)
    recorder = Recorder(trainer)
    trainer.train()
    args, processor = trainer.args, bi_encoder_processor(graph)
    first = math.ceil(2 * trainer.state.max_steps / 3)
    expected = losses_by_hand(graph, processor, recorder.batches, args.queue_size, first, kind)
    assert losses_of(trainer) == pytest.approx(expected, rel=2e-4)
    without = losses_by_hand(graph, processor, recorder.batches, args.queue_size, 10**6, kind)
    assert sum(abs(one / other - 1) > 0.01 for one, other in zip(expected, without, strict=True)) >= 2


def test_each_training_begins_with_an_empty_queue(tmp_path):
    """A resumed one too: its first loss is that of the batch alone, and its later ones have the queue again."""
    still = {"learning_rate": 0.0, "save_strategy": "steps", "save_steps": 4}
    trainer, plain = (
        queue_trainer(tmp_path / "queue", **still),
        queue_trainer(tmp_path / "plain", queue_size=0, **still),
    )
    trainer.train()
    plain.train()
    first, without = losses_of(trainer), losses_of(plain)
    assert len(first) == 10
    assert len(trainer.training_objective.queue)
    assert not len(plain.training_objective.queue)
    assert first[:7] == pytest.approx(without[:7], rel=1e-6)
    assert min(np.array(first[7:]) / without[7:]) > 1.001
    trainer.train()
    assert losses_of(trainer) == first
    trainer.train(resume_from_checkpoint=str(tmp_path / "queue" / "checkpoint-8"))
    resumed = losses_of(trainer)
    assert resumed[:8] == first[:8]
    assert resumed[8] == pytest.approx(without[8], rel=1e-6)
    assert resumed[9] > 1.001 * without[9]


def test_the_queue_is_float32_beside_autocast(tmp_path):
    trainer = queue_trainer(tmp_path, bf16=True)
    trainer.train()
    assert trainer.training_objective.queue.deviations.dtype == torch.float32
    assert np.isfinite(losses_of(trainer)).all()


def test_an_evaluation_has_no_candidates_of_earlier_batches(tmp_path):
    trainer = queue_trainer(tmp_path)
    before = trainer.evaluate(trainer.train_dataset)["eval_loss"]
    trainer.training_objective.queue.extend(torch.rand(9, 32), torch.arange(9), 9)
    assert trainer.evaluate(trainer.train_dataset)["eval_loss"] == before
    assert len(trainer.training_objective.queue) == 9


# Names of neighbors


def test_naming_is_what_sequences_say():
    graph = make_graph()
    processor = bi_encoder_processor(graph, num_neighbors=2)
    store = processor.token_store(graph)
    triplets, candidates = graph["train"].triplets, np.arange(graph.num_entities)
    named = naming_mask(store.neighbors, triplets, candidates)
    neighbors = {frozenset((head, tail)) for head, _, tail in triplets.tolist()}
    decode = lambda rows: processor.tokenizer.batch_decode(store.assemble(rows)["input_ids"])  # noqa: E731
    names, count = [text.split(",")[0] for text in graph.entities.texts], 0
    for number, slot in enumerate((2, 0)):
        queries = decode(store.queries(triplets, slot))
        for row, triplet in enumerate(triplets.tolist()):
            for entity, text in enumerate(decode(store.candidates(candidates))):
                own, found = triplet[2 - slot], named[row + number * len(triplets), entity]
                said = f"; {names[entity]} " in queries[row] or f"; {names[own]} " in text
                assert found or not said
                assert not found or frozenset((own, entity)) in neighbors
                count += said
    assert count > 50


@pytest.mark.parametrize("num_neighbors", [0, 1])
def test_loss_and_gradients_are_those_of_candidates_that_are_not_named(num_neighbors, tmp_path):
    """An answer and its query never name each other in training, so that no negative of the queue may do so."""
    graph, triplets = make_graph(), make_graph()["train"].triplets
    processor = bi_encoder_processor(graph, num_neighbors=num_neighbors)
    trainer = make_trainer(tmp_path, graph, processor, bi_encoder_model(), loss="softmax", queue_size=100)
    model, known = trainer.model, {tuple(row) for row in triplets.tolist()}
    batches = [
        trainer.data_collator([dict(zip(("head", "relation", "tail"), row, strict=True)) for row in part])
        for part in (triplets[[0, 2, 8, 11]].tolist(), triplets[[5, 6]].tolist())
    ]
    older, batch = batches
    trainer.compute_loss(model, older)
    loss = trainer.compute_loss(model, batch)
    loss.backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    inputs = [{name: one[name] for name in ("input_ids", "attention_mask", "segment_ids")} for one in batches]
    with torch.no_grad():
        kept = model(**inputs[0]).embeddings[older["candidate_rows"]]
    vectors = model(**inputs[1]).embeddings
    now = dict(zip(batch["candidates"].tolist(), vectors[batch["candidate_rows"]], strict=True))
    mean = torch.stack(list(now.values())).detach().mean(0)
    earlier = dict(zip(older["candidates"].tolist(), kept - kept.mean(0) + mean, strict=True))
    earlier = {entity: vector for entity, vector in earlier.items() if entity not in now}
    terms, left_out = [], 0
    for query, row in enumerate(batch["query_rows"].tolist()):
        head, relation, tail = batch["triplets"][query % 2].tolist()
        own, other = (tail, head) if query < 2 else (head, tail)
        for weight, candidates in ((1, now), (0.5, {own: now[own].detach(), **earlier})):
            scores = {}
            for answer, vector in candidates.items():
                triplet = (head, relation, answer) if query < 2 else (answer, relation, tail)
                pair = [other, 0, answer]
                names = processor.token_store(graph).neighbors
                if (
                    names is not None
                    and answer not in now
                    and naming_mask(names, np.array([pair]), np.array([answer]))[0, 0]
                ):
                    left_out += 1
                    continue
                if answer == own or triplet not in known:
                    scores[answer] = -0.5 * model.log_scale.exp() * (vectors[row] - vector).square().sum()
            terms.append(weight * (torch.stack(list(scores.values())).logsumexp(0) - scores[own]))
    expected = torch.stack(terms).sum() / 4  # of two positives, which have two queries each
    expected.backward()
    assert bool(left_out) == bool(num_neighbors)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, value in model.named_parameters():
        if value.grad is not None:
            torch.testing.assert_close(gradients[name], value.grad, rtol=1e-4, atol=1e-6)


# What does not fit


@pytest.mark.parametrize(
    ("architecture", "size", "message"),
    [
        ("cross-encoder", 8, 'queue_size=8 needs architecture="bi-encoder"; with a cross-encoder it changes nothing'),
        ("bi-encoder", -1, "queue_size=-1; expected a finite number of 0 or more"),
        ("bi-encoder", 1.5, "queue_size=1.5; expected a whole number"),
    ],
)
def test_a_queue_that_does_not_fit_is_one_line(architecture, size, message, tmp_path):
    with pytest.raises(LassError) as error:
        trainer_of(tmp_path, make_graph(), architecture, queue_size=size)
    one_line(error, message)

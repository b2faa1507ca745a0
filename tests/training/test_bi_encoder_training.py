"""The bi-encoder: its training, and what does not fit together with a cross-encoder."""

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor, score_by_hand, texts_of_triplets
from helpers.tiny import ENTITY_TEXT, make_graph, make_model, make_processor
from helpers.trainings import trainer_of

from lass_hf import KGDataCollator, KnowledgeGraph, LassConfig, LassPredictor
from lass_hf.core.errors import LassError, ModelError
from lass_hf.scoring.index_building import build_entity_index
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.data_collators import InBatchCollator

# Training


def bi_encoder_trainer(folder, model=None, graph=None, **choices):
    """A trainer whose few steps of AdamW are felt."""
    defaults = {"learning_rate": 3e-3, "optim": "adamw_torch", "max_steps": 12, "per_device_train_batch_size": 7}
    model = bi_encoder_model().train() if model is None else model
    return trainer_of(folder, graph or make_graph(), "bi-encoder", model, **{**defaults, **choices})


@pytest.mark.parametrize("loss", ["softmax", "negative_sampling"])
def test_training_lowers_the_loss_and_lifts_the_ranks(loss, tmp_path):
    trainer = bi_encoder_trainer(tmp_path, loss=loss, max_steps=30)
    before = trainer.evaluate(trainer.train_dataset)
    trainer.train()
    after = trainer.evaluate(trainer.train_dataset)
    assert after["eval_loss"] < 0.7 * before["eval_loss"]
    assert after["eval_mrr"] > before["eval_mrr"] + 0.1
    assert trainer.model.log_scale.item() != pytest.approx(np.log(12.0), abs=1e-4)
    trainer.save_model()
    score = LassPredictor.from_pretrained(tmp_path, dtype="float32").score([("cat", "eats", "milk")])
    processor = trainer.processing_class
    expected = score_by_hand(trainer.model.eval(), processor, *(ENTITY_TEXT["cat"], "eats", "milk"))
    assert score[0] == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_fixed_scale_stays(tmp_path):
    trainer = bi_encoder_trainer(tmp_path, bi_encoder_model(learn_scale=False).train())
    trainer.train()
    assert trainer.model.distance_factor().item() == 12.0


def loss_of(trainer, triplets) -> float:
    names = ("head", "relation", "tail")
    batch = trainer.data_collator([dict(zip(names, row, strict=True)) for row in triplets.tolist()])
    return trainer.compute_loss(trainer.model, batch).item()


@pytest.mark.parametrize("self_match_weight", [0.5, 0.01])
def test_the_loss_of_a_step_is_eq_3_over_the_batch(self_match_weight, tmp_path):
    model, graph = bi_encoder_model(self_match_weight=self_match_weight), make_graph()
    processor = bi_encoder_processor(graph)
    trainer = bi_encoder_trainer(tmp_path, model, graph)
    triplets = graph["train"].triplets[[0, 5, 6, 3]]
    loss = loss_of(trainer, triplets)
    answers = sorted({*triplets[:, 0], *triplets[:, 2]})
    known = {tuple(row) for row in graph["train"].triplets.tolist()}
    terms = []
    for head, relation, tail in triplets.tolist():
        for slot, own in ((2, tail), (0, head)):
            total = 0.0
            for answer in answers:
                triplet = (head, relation, answer) if slot == 2 else (answer, relation, tail)
                if answer != own and triplet in known:
                    continue
                text = texts_of_triplets(graph, np.array([triplet]))[0]
                score = score_by_hand(model, processor, *text)[0 if slot == 2 else 1]
                total += np.exp(score)
                if answer == own:
                    right = np.exp(score)
            terms.append(-np.log(right / total))
    assert loss == pytest.approx(np.mean(terms), rel=1e-4)


def test_the_loss_of_a_step_is_eq_4_over_the_batch(tmp_path):
    model, graph = bi_encoder_model(self_match_weight=0.1), make_graph()
    trainer = bi_encoder_trainer(tmp_path, model, graph, loss="negative_sampling")
    triplets = graph["train"].triplets[[0, 5, 6, 3]]
    known = {tuple(row) for row in graph["train"].triplets.tolist()}
    scorer = TripletScorer(model, bi_encoder_processor(graph).token_store(), "float32")
    terms = []
    for triplet in triplets.tolist():
        for slot in (2, 0):
            term = np.logaddexp(0, -scorer.score([triplet], slot)[0].astype(np.float64))
            for answer in {*triplets[:, 0].tolist(), *triplets[:, 2].tolist()}:
                other = [answer if place == slot else value for place, value in enumerate(triplet)]
                if tuple(other) not in known:
                    term += np.logaddexp(0, scorer.score([other], slot)[0].astype(np.float64))
            terms.append(term)
    assert loss_of(trainer, triplets) == pytest.approx(np.mean(terms), rel=1e-4)


@pytest.mark.parametrize("loss", ["softmax", "negative_sampling"])
def test_entities_that_read_the_same_are_one_candidate(loss, tmp_path):
    """So the loss is that of a graph which has them once."""
    rows = [("cat", "eats", "milk"), ("dog", "eats", "fish"), ("oak", "is_a", "tree"), ("tea", "eats", "fish")]
    text = {
        "cat": "a pet",
        "dog": "a pet",
        "milk": "a drink",
        "tea": "a drink",
        "fish": "food",
        "oak": "a",
        "tree": "an",
    }
    one = {"dog": "cat", "tea": "milk"}
    losses = []
    for triplets in (rows, [(one.get(head, head), relation, tail) for head, relation, tail in rows]):
        names = {name for head, _, tail in triplets for name in (head, tail)}
        graph = KnowledgeGraph.from_triplets(
            triplets, triplets[:1], entity_text={name: text.get(name, name) for name in sorted(names)}
        )
        trainer = bi_encoder_trainer(tmp_path, bi_encoder_model(self_match_weight=0.1), graph, loss=loss)
        losses.append((loss_of(trainer, graph["train"].triplets), trainer.evaluate(graph["train"])["eval_loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-5)


# What does not fit together


def test_architectures_that_differ_are_refused(tmp_path):
    cross_encoder, processor = make_processor(make_graph()), bi_encoder_processor()
    with pytest.raises(LassError, match="architecture is 'bi-encoder', the processor's 'cross-encoder'"):
        TripletScorer(bi_encoder_model(), cross_encoder.token_store())
    with pytest.raises(LassError, match="architecture is 'cross-encoder', the processor's 'bi-encoder'"):
        bi_encoder_trainer(tmp_path, make_model())
    with pytest.raises(ModelError, match="cross-encoder"):
        make_model()(**processor([("cat", "eats", "milk")]))
    with pytest.raises(LassError, match="InBatchCollator"):
        InBatchCollator(cross_encoder)
    with pytest.raises(LassError, match="InBatchCollator"):
        KGDataCollator(processor)


def test_a_loss_of_cross_encoder_is_refused(tmp_path):
    with pytest.raises(LassError, match="loss='mean_bce' with a bi-encoder; expected one of"):
        trainer_of(tmp_path, make_graph(), "bi-encoder", loss="mean_bce")


def test_an_index_of_a_cross_encoder_is_refused(processor):
    with pytest.raises(LassError, match="an entity index needs a bi-encoder"):
        build_entity_index(TripletScorer(make_model(), processor.token_store()))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"architecture": "both"}, r"architecture='both'; expected one of cross-encoder, bi-encoder"),
        ({"normalize": True}, r'normalize=True needs architecture="bi-encoder"'),
        ({"architecture": "bi-encoder", "scale": 0.0}, r"scale=0.0; expected a number above 0"),
        ({"architecture": "bi-encoder", "self_match_weight": 0.0}, r"self_match_weight=0.0; expected a number above 0"),
        ({"neighbor_weight": 0.5}, r'neighbor_weight=0.5 needs architecture="bi-encoder"'),
        ({"architecture": "bi-encoder", "neighbor_weight": -0.1}, r"neighbor_weight=-0.1; expected 0 or more"),
        ({"frequency_weight": 0.5}, r'frequency_weight=0.5 needs architecture="bi-encoder"'),
        ({"architecture": "bi-encoder", "frequency_weight": -0.1}, r"frequency_weight=-0.1; expected 0 or more"),
        ({"self_match_weight": 0.5}, r'self_match_weight=0.5 needs architecture="bi-encoder"'),
    ],
)
def test_choices_that_do_not_exist(choices, message):
    with pytest.raises(LassError, match=message):
        LassConfig(**choices)

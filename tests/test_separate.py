"""Separate encoding: queries and answers apart, the same Eq. 1, the same engine, trainer and ranks."""

import numpy as np
import pytest
import torch
from conftest import ENTITY_TEXT, RELATION_TEXT, TRAIN, make_graph, make_model, wordpiece_tokenizer

from lass_hf import (
    KGDataCollator,
    KnowledgeGraph,
    LassConfig,
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    evaluate_link_prediction,
    evaluate_triplet_classification,
)
from lass_hf.candidate_scores import by_triplets, entity_index
from lass_hf.errors import LassError, ModelError
from lass_hf.in_batch import InBatchCollator
from lass_hf.link_prediction import evaluate_relation_prediction, rank_split
from lass_hf.scoring import TripletScorer

GEOMETRIES = {
    "sqrt_dim": {},
    "none": {"distance_scale": "none"},
    "unit": {"normalize": True, "scale": 12.0},
    "fixed": {"normalize": True, "scale": 12.0, "learn_scale": False},
}


def make_processor(graph=None, **choices) -> LassProcessor:
    processor = LassProcessor(wordpiece_tokenizer(), encoding="separate", **choices)
    processor.graph = graph or make_graph()
    return processor


def separate_model(kind="bert", **choices):
    return make_model(kind, encoding="separate", **{**GEOMETRIES["unit"], **choices})


@pytest.fixture(scope="module")
def processor():
    return make_processor()


@pytest.fixture
def model():
    return separate_model()


def texts_of(processor, batch, row):
    tokens = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][row].tolist())
    return " ".join(token for token in tokens if token != "[PAD]")


# Sequences


@pytest.mark.parametrize(
    ("separators", "expected"),
    [
        (True, ("[CLS] cat [SEP] eats [SEP]", "[CLS] milk [SEP]", "[CLS] milk [SEP] {} eats [SEP]", "[CLS] cat [SEP]")),
        (False, ("[CLS] cat eats [SEP]", "[CLS] milk [SEP]", "[CLS] milk {} eats [SEP]", "[CLS] cat [SEP]")),
    ],
)
def test_a_triplet_is_two_queries_and_two_answers(separators, expected):
    processor = make_processor(separators=separators, inverse="small {}")
    batch = processor([("cat", "eats", "milk")])
    assert [texts_of(processor, batch, row) for row in range(4)] == [text.format("small") for text in expected]
    assert batch["pairs"].tolist() == [[[0, 1], [2, 3]]]
    gap = [0] if separators else []
    assert batch["segment_ids"][0][: 4 + len(gap)].tolist() == [0, 1, *gap, 2, 0]
    assert batch["segment_ids"][1][:3].tolist() == [0, 3, 0]


def test_texts_and_the_graph_give_the_same_sequences(processor):
    graph, store = processor.graph, processor.token_store()
    triplets = graph["train"].triplets
    batch = processor([tuple(names) for names in _texts(graph, triplets)])
    rows = [part for slot in (2, 0) for part in (store.queries(triplets, slot), store.answers(triplets[:, slot]))]
    expected = store.assemble(np.concatenate(rows))
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
    assert batch["attention_mask"].sum(1).tolist() == store.lengths(np.concatenate(rows)).tolist()


def _texts(graph, triplets):
    entities, relations = graph.entities.texts, graph.relations.texts
    return [(entities[h], relations[r], entities[t]) for h, r, t in triplets.tolist()]


def test_long_texts_are_cut_to_max_length():
    processor = make_processor(max_length=8)
    store = processor.token_store()
    triplets = processor.graph["train"].triplets
    for rows in (store.queries(triplets, 2), store.answers(triplets[:, 0])):
        batch = store.assemble(rows)
        assert batch["input_ids"].shape[1] == 8
        assert ((batch["segment_ids"] > 0).sum(1) > 0).all()
        assert (store.lengths(rows) == batch["attention_mask"].sum(1).numpy()).all()


def test_the_processor_keeps_its_encoding(tmp_path):
    make_processor(inverse="{} of").save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert (again.encoding, again.inverse) == ("separate", "{} of")
    assert again.model_input_names == ["input_ids", "attention_mask", "segment_ids", "pairs"]


# Scores


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
    inverse = processor.inverse.format(relation)
    for entity, name, answer in ((head, relation, tail), (tail, inverse, head)):
        h, r = pooled(model, processor, (entity, 1), (name, 2))
        (t,) = pooled(model, processor, (answer, 3))
        u = h + r
        factor = 1 / np.sqrt(len(u)) if config.distance_scale == "sqrt_dim" else 1.0
        if config.normalize:
            u, t, factor = u / np.linalg.norm(u), t / np.linalg.norm(t), model.distance_factor().item()
        scores.append(config.margin - factor / 2 * ((u - t) ** 2).sum())
    return scores


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_scores_are_eq_1_over_separate_vectors(kind, geometry, processor):
    model = make_model(kind, encoding="separate", **GEOMETRIES[geometry])
    graph = processor.graph
    triplets = np.concatenate([graph["train"].triplets, graph["test"].triplets])
    expected = np.array([score_by_hand(model, processor, *texts) for texts in _texts(graph, triplets)])
    scorer = TripletScorer(model, processor.token_store(), "float32")
    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(scorer.score(triplets, 2), expected[:, 0], **tolerance)
    np.testing.assert_allclose(scorer.score(triplets, 0), expected[:, 1], **tolerance)
    np.testing.assert_allclose(scorer.score(triplets), expected.mean(axis=1), **tolerance)
    with torch.no_grad():
        output = model(**processor(_texts(graph, triplets)))
    np.testing.assert_allclose(output.scores.numpy(), expected.mean(axis=1), **tolerance)
    assert output.scores.dtype == torch.float32


def test_unit_scores_are_a_cosine_up_to_constants(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    triplets = processor.graph["train"].triplets
    u, t = scorer.encode_queries(triplets, 2), scorer.encode_entities(triplets[:, 2])
    expected = model.config.margin - 12.0 * (1 - torch.nn.functional.cosine_similarity(u, t))
    np.testing.assert_allclose(scorer.score(triplets, 2), expected.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(u.norm(dim=1).numpy(), 1, rtol=1e-5)


def test_an_entity_has_one_vector_whatever_is_asked(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    every = scorer.encode_entities(np.arange(10))
    some = scorer.encode_entities(np.array([7, 3, 7]))
    torch.testing.assert_close(some, every[[7, 3, 7]])
    assert torch.equal(some[0], some[2])
    assert scorer.encode_entities(np.empty(0, dtype=np.int64)).shape == (0, 32)


def test_the_model_keeps_its_encoding_and_its_scale(model, processor, tmp_path):
    with torch.no_grad():
        model.log_scale.fill_(3.0)
    model.save_pretrained(tmp_path)
    again = LassForKGCompletion.from_pretrained(tmp_path)
    assert (again.config.encoding, again.config.normalize, again.config.scale) == ("separate", True, 12.0)
    batch = processor([("cat", "eats", "milk")])
    with torch.no_grad():
        assert torch.equal(again.eval()(**batch).scores, model(**batch).scores)
    assert again.distance_factor().item() == pytest.approx(np.exp(3.0))


def test_labels_give_the_loss_of_eq_4(model, processor):
    batch = processor([("cat", "eats", "milk"), ("milk", "eats", "cat")])
    output = model(**batch, labels=torch.tensor([1, 0]))
    softplus = torch.nn.functional.softplus
    expected = 3 * softplus(-output.scores[0]) + softplus(output.scores[1])
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)


# Ranks


def duplicate_graph():
    text = {**ENTITY_TEXT, "cat2": ENTITY_TEXT["cat"], "cheese2": ENTITY_TEXT["cheese"]}
    test = [("cat", "eats", "milk"), ("mouse", "eats", "cheese2"), ("cat2", "lives_in", "garden")]
    return KnowledgeGraph.from_triplets(
        [*TRAIN, ("cat2", "eats", "cheese2")], test=test, entity_text=text, relation_text=RELATION_TEXT
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_ranks_are_those_of_the_scores_of_all_triplets(geometry, monkeypatch):
    processor = make_processor(duplicate_graph())
    model = make_model(encoding="separate", **GEOMETRIES[geometry])
    scorer = TripletScorer(model, processor.token_store(), "float32")

    score_distances = TripletScorer.score_distances

    def exact(triplets, slot, bar):  # float64 would differ in its last bits, so rounded: what is equal stays equal
        return np.round(scorer.score(triplets, slot, bar), 4)

    expected = rank_split(by_triplets(exact), processor.graph["test"], quiet=True)
    monkeypatch.setattr(
        "lass_hf.scoring.TripletScorer.score_distances",
        lambda self, squared: torch.round(score_distances(self, squared), decimals=4),
    )
    result = evaluate_link_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    np.testing.assert_array_equal(result.ranks, expected.ranks)
    np.testing.assert_array_equal(result.num_candidates, expected.num_candidates)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_entities_with_the_same_text_are_tied_exactly(dtype, model):
    processor = make_processor(duplicate_graph())
    result = evaluate_link_prediction(model, processor, processor.graph, dtype=dtype, quiet=True)
    # Of the queries (?, eats, milk), (mouse, eats, ?) and (?, lives_in, garden), with a twin that is not known.
    differ = result.optimistic_ranks != result.pessimistic_ranks
    assert differ.tolist() == [True, False, True, False, False, False]


def test_the_candidates_of_a_ranking_are_encoded_once(model, processor):
    rows = []
    model.encoder.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    evaluate_link_prediction(model, processor, processor.graph, split="train", dtype="float32", quiet=True)
    heads, tails = (len(np.unique(np.delete(processor.graph["train"].triplets, slot, 1), axis=0)) for slot in (0, 2))
    assert sum(rows) == 10 + heads + tails


def test_a_ranking_goes_on_where_it_stopped(model, processor, tmp_path, monkeypatch):
    monkeypatch.setitem(evaluate_link_prediction.__globals__["UNIT_SIZE"], "separate", 10)
    expected = evaluate_link_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    for _ in range(2):
        result = evaluate_link_prediction(
            model, processor, processor.graph, dtype="float32", quiet=True, resume_dir=tmp_path
        )
        np.testing.assert_array_equal(result.ranks, expected.ranks)


def test_relation_prediction_takes_the_mean_of_both_directions(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    result = evaluate_relation_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    expected = rank_split(by_triplets(scorer.score), processor.graph["test"], (1,), quiet=True)
    np.testing.assert_array_equal(result.ranks, expected.ranks)


def test_classification_takes_the_mean_of_both_directions(model, labelled_graph):
    processor = make_processor(labelled_graph)
    result = evaluate_triplet_classification(model, processor, labelled_graph, dtype="float32", quiet=True)
    scorer = TripletScorer(model, processor.token_store(), "float32")
    triplets = labelled_graph["test"].triplets
    both = (scorer.score(triplets, 0) + scorer.score(triplets, 2)) / 2
    np.testing.assert_allclose(result.scores, both, rtol=1e-6)


# The index of a graph


def test_an_index_is_kept_and_read_again(model, processor, tmp_path):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    index = entity_index(scorer, tmp_path)
    calls = []
    monkeypatched = TripletScorer(model, processor.token_store(), "float32")
    monkeypatched.encode_entities = lambda *arguments: calls.append(arguments)
    again = entity_index(monkeypatched, tmp_path)
    assert calls == []
    torch.testing.assert_close(torch.cat(again.blocks), torch.cat(index.blocks), rtol=0, atol=0)


def test_an_index_of_another_model_or_graph_is_refused(model, processor, tmp_path):
    entity_index(TripletScorer(model, processor.token_store(), "float32"), tmp_path)
    with pytest.raises(LassError, match="another model"):
        entity_index(TripletScorer(separate_model(seed=1), processor.token_store(), "float32"), tmp_path)
    changed = {**ENTITY_TEXT, "cat": "a bird"}
    other = make_processor(KnowledgeGraph.from_triplets(TRAIN, entity_text=changed, relation_text=RELATION_TEXT))
    with pytest.raises(LassError, match="another graph"):
        entity_index(TripletScorer(model, other.token_store(), "float32"), tmp_path)


def test_entities_that_are_new_to_the_graph_are_the_only_ones_encoded(model, processor, tmp_path):
    entity_index(TripletScorer(model, processor.token_store(), "float32"), tmp_path)
    text = {**ENTITY_TEXT, "bird": "a bird", "fish": "a fish"}
    more = make_processor(
        KnowledgeGraph.from_triplets([*TRAIN, ("bird", "eats", "fish")], entity_text=text, relation_text=RELATION_TEXT)
    )
    scorer = TripletScorer(model, more.token_store(), "float32")
    encode, asked = scorer.encode_entities, []
    scorer.encode_entities = lambda entities: asked.extend(entities.tolist()) or encode(entities)
    index = entity_index(scorer, tmp_path)
    assert asked == [10, 11]
    torch.testing.assert_close(torch.cat(index.blocks), encode(np.arange(12)), rtol=1e-5, atol=1e-5)


# Training


def arguments(tmp_path, **choices):
    defaults = {
        "learning_rate": 3e-3,
        "max_steps": 12,
        "per_device_train_batch_size": 7,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "loss": "softmax",
    }
    return LassTrainingArguments(output_dir=str(tmp_path), **{**defaults, **choices})


def make_trainer(tmp_path, model=None, graph=None, **choices):
    graph = graph or make_graph()
    return LassTrainer(
        model=model or separate_model().train(),
        args=arguments(tmp_path, **choices),
        processing_class=make_processor(graph),
        train_dataset=graph["train"],
        eval_dataset=graph["validation"],
    )


@pytest.mark.parametrize("loss", ["softmax", "negative_sampling"])
def test_training_lowers_the_loss_and_lifts_the_ranks(loss, tmp_path):
    trainer = make_trainer(tmp_path, loss=loss, max_steps=30)
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
    trainer = make_trainer(tmp_path, separate_model(learn_scale=False).train())
    trainer.train()
    assert trainer.model.distance_factor().item() == 12.0


def test_false_triplets_are_not_trained_on(tmp_path):
    rows = [(*row, "1") for row in TRAIN] + [("food", "eats", "cat", "-1")] * 9
    graph = KnowledgeGraph.from_triplets(rows, [("milk", "is_a", "food")], entity_text=ENTITY_TEXT)
    trainer = make_trainer(tmp_path, graph=graph)
    assert len(trainer.train_dataset) == len(TRAIN)


def test_the_loss_of_a_step_is_eq_3_over_the_batch(tmp_path, processor):
    model, graph = separate_model(), make_graph()
    trainer = make_trainer(tmp_path, model, graph, own_weight=0.5, additive_margin=0.3, temperature=1.7)
    triplets = graph["train"].triplets[[0, 5, 6, 3]]
    batch = trainer.data_collator(
        [dict(zip(("head", "relation", "tail"), row, strict=True)) for row in triplets.tolist()]
    )
    loss = trainer.compute_loss(model, batch).item()
    answers = sorted({*triplets[:, 0], *triplets[:, 2]})
    known = {tuple(row) for row in graph["train"].triplets.tolist()}
    terms = []
    for head, relation, tail in triplets.tolist():
        for slot, asking, own in ((2, head, tail), (0, tail, head)):
            total = 0.0
            for answer in answers:
                triplet = (head, relation, answer) if slot == 2 else (answer, relation, tail)
                if answer != own and triplet in known:
                    continue
                text = _texts(graph, np.array([triplet]))[0]
                score = score_by_hand(model, processor, *text)[0 if slot == 2 else 1]
                score = (score - 0.3 * (answer == own)) / 1.7
                total += np.exp(score) * (0.5 if answer == asking and answer != own else 1)
                if answer == own:
                    right = np.exp(score)
            terms.append(-np.log(right / total))
    assert loss == pytest.approx(np.mean(terms), rel=1e-4)


# What does not fit together


def test_encodings_that_differ_are_refused(tmp_path, model, processor):
    joint = LassProcessor(wordpiece_tokenizer())
    joint.graph = make_graph()
    with pytest.raises(LassError, match="encoding is 'separate', the processor's 'joint'"):
        TripletScorer(model, joint.token_store())
    with pytest.raises(LassError, match="encoding is 'joint', the processor's 'separate'"):
        make_trainer(tmp_path, make_model())
    with pytest.raises(ModelError, match="joint"):
        make_model()(**processor([("cat", "eats", "milk")]))
    with pytest.raises(LassError, match="InBatchCollator"):
        InBatchCollator(joint)
    with pytest.raises(LassError, match="InBatchCollator"):
        KGDataCollator(processor)


@pytest.mark.parametrize("loss", ["mean_bce", "softmax"])
def test_a_loss_of_the_other_encoding_is_refused(loss, tmp_path):
    graph = make_graph()
    processor = LassProcessor(wordpiece_tokenizer(), encoding="separate" if loss == "mean_bce" else "joint")
    with pytest.raises(LassError, match=f"loss='{loss}' with .* encoding; expected one of"):
        LassTrainer(
            model=make_model(encoding=processor.encoding),
            args=arguments(tmp_path, loss=loss),
            processing_class=processor,
            train_dataset=graph["train"],
        )


def test_an_index_of_a_joint_model_is_refused(graph):
    joint = LassProcessor(wordpiece_tokenizer())
    joint.graph = graph
    with pytest.raises(LassError, match='encoding="separate"'):
        entity_index(TripletScorer(make_model(), joint.token_store()))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"encoding": "both"}, r"encoding='both'; expected one of joint, separate"),
        ({"normalize": True}, r'normalize=True needs encoding="separate"'),
        ({"encoding": "separate", "scale": 0.0}, r"scale=0.0; expected a number above 0"),
    ],
)
def test_choices_that_do_not_exist(choices, message):
    with pytest.raises(LassError, match=message):
        LassConfig(**choices)


@pytest.mark.parametrize("inverse", ["inverse", "{} {}", "{}", " {} "])
def test_a_text_of_inverse_relations_names_the_relation_once(inverse):
    with pytest.raises(LassError, match=r"expected a text with \{\}"):
        LassProcessor(wordpiece_tokenizer(), encoding="separate", inverse=inverse)


@pytest.mark.parametrize("choice", [{"temperature": 0.0}, {"own_weight": -1.0}, {"additive_margin": -0.1}])
def test_weights_of_the_loss_out_of_range(choice, tmp_path):
    with pytest.raises(LassError, match="expected a temperature above 0"):
        arguments(tmp_path, **choice)

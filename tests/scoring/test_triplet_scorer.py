"""The scoring engine: order, batches, precision, memory, and the input that it refuses."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from helpers.tiny import ENCODER_CONFIGS, ENTITY_TEXT, TRAIN, make_model, make_processor, one_line

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.scoring import triplet_scorer as scoring
from lass_hf.scoring.precision import DTYPES, scoring_dtype
from lass_hf.scoring.triplet_scorer import TripletScorer


@pytest.fixture
def store(processor, graph):
    return processor.token_store(graph)


@pytest.fixture(scope="module")
def every_triplet(graph):
    """All triplets of two relations, in an order that is not that of their lengths."""
    heads, relations, tails = np.meshgrid(np.arange(10), np.arange(2), np.arange(10), indexing="ij")
    triplets = np.stack([heads.ravel(), relations.ravel(), tails.ravel()], axis=1)
    return np.random.default_rng(0).permutation(triplets)


def forward_one_by_one(model, store, triplets):
    with torch.no_grad():
        return torch.cat([model(**store.assemble(triplet[None])).scores for triplet in triplets]).numpy()


class Bar:
    """A progress bar that records its steps."""

    def __init__(self):
        self.steps = []

    def update(self, number):
        self.steps.append(number)


def fail_above(model, rows=None, tokens=None):
    """Makes the encoder run out of memory for batches of more than `rows` rows, or `tokens` tokens with padding.

    Returns a list of the sizes that it is given, in rows, or tokens.
    """
    sizes = []

    def check(module, args, kwargs):
        size, limit = (len(kwargs["input_ids"]), rows) if tokens is None else (kwargs["input_ids"].numel(), tokens)
        sizes.append(size)
        if size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model.encoder.register_forward_pre_hook(check, with_kwargs=True)
    return sizes


# Scores


@pytest.mark.parametrize("kind", ENCODER_CONFIGS)
def test_scores_are_those_of_the_model_in_the_given_order(kind, store, every_triplet):
    model, triplets = make_model(kind), every_triplet[:60]
    scores = TripletScorer(model, store, "float32").score(triplets)
    assert scores.dtype == np.float32
    assert scores.shape == (60,)
    np.testing.assert_allclose(scores, forward_one_by_one(model, store, triplets), rtol=1e-5, atol=1e-5)


def test_scores_do_not_depend_on_the_order_of_the_triplets(model, store, every_triplet):
    scorer = TripletScorer(model, store, "float32")
    order = np.random.default_rng(1).permutation(len(every_triplet))
    np.testing.assert_array_equal(scorer.score(every_triplet)[order], scorer.score(every_triplet[order]))


def test_repeated_triplets_get_the_same_score(model, store, every_triplet):
    scorer = TripletScorer(model, store, "float32")
    repeated = np.concatenate([every_triplet[:7], every_triplet[3:10], every_triplet[:1]])
    scores = scorer.score(repeated)
    np.testing.assert_array_equal(scores[3:7], scores[7:11])
    assert scores[0] == scores[-1]


@pytest.mark.parametrize("token_budget", [1, 40, 200])
def test_token_budget_changes_scores_only_by_rounding(token_budget, model, store, every_triplet):
    scores = TripletScorer(model, store, "float32", token_budget=token_budget).score(every_triplet[:40])
    expected = TripletScorer(model, store, "float32").score(every_triplet[:40])
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_entities_with_the_same_text_get_bitwise_equal_scores(dtype, processor, model):
    text = {**ENTITY_TEXT, "cat2": ENTITY_TEXT["cat"], "cat3": ENTITY_TEXT["cat"]}
    graph = KnowledgeGraph.from_triplets([*TRAIN, ("cat2", "eats", "cat3")], entity_text=text)
    cats = [graph.entities.find(name) for name in ("cat", "cat2", "cat3")]
    others = np.setdiff1d(np.arange(graph.num_entities), cats)
    triplets = np.array([[cat, relation, other] for relation in range(3) for other in others for cat in cats])
    scorer = TripletScorer(model, processor.token_store(graph), dtype, token_budget=70)
    by_cat = scorer.score(triplets).reshape(-1, 3)
    assert (by_cat == by_cat[:, :1]).all()
    assert len(np.unique(by_cat[:, 0])) > len(by_cat) // 2


def test_same_text_as_head_and_tail_is_not_mixed_up(model, processor):
    graph = KnowledgeGraph.from_triplets([("a", "r", "b"), ("b", "r", "a"), ("r", "r", "a")])
    store = processor.token_store(graph)
    numbers = [[graph.entities.find(h), 0, graph.entities.find(t)] for h in ("a", "b", "r") for t in ("a", "b", "r")]
    triplets = np.array(numbers)
    scores = TripletScorer(model, store, "float32").score(triplets)
    np.testing.assert_allclose(scores, forward_one_by_one(model, store, triplets), rtol=1e-5, atol=1e-5)


def test_each_text_is_run_through_the_model_once(model, store, every_triplet):
    sizes = fail_above(model, rows=10**6)
    TripletScorer(model, store, "float32").score(np.concatenate([every_triplet[:20]] * 3))
    assert sum(sizes) == 20


def test_no_triplets_give_no_scores(model, store):
    sizes = fail_above(model, rows=10**6)
    scores = TripletScorer(model, store).score(np.empty((0, 3), dtype=np.int64))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32
    assert not sizes


def test_a_list_of_triplets_is_accepted(model, store, graph):
    triplets = graph["train"].triplets[:3]
    scorer = TripletScorer(model, store, "float32")
    np.testing.assert_array_equal(scorer.score(triplets.tolist()), scorer.score(triplets))


def test_progress_adds_up_to_the_triplets_with_repetitions(model, store, every_triplet):
    bar = Bar()
    repeated = np.concatenate([every_triplet[:30], every_triplet[:30], every_triplet[:5]])
    TripletScorer(model, store, "float32", token_budget=60).score(repeated, progress=bar)
    assert sum(bar.steps) == 65
    assert len(bar.steps) > 1


# Batches


@pytest.mark.parametrize(("batch_cost", "unmasked"), [(0, {True}), (20, {True, False}), (10**6, {False})])
def test_attention_is_masked_where_there_is_padding_and_only_there(
    batch_cost, unmasked, model, store, every_triplet, monkeypatch
):
    """Without a mask attention is faster."""
    monkeypatch.setattr(scoring, "batch_cost", lambda device_type: batch_cost)
    inputs = []
    model.encoder.register_forward_pre_hook(lambda module, args, kwargs: inputs.append(kwargs), with_kwargs=True)
    TripletScorer(model, store, "float32").score(every_triplet)
    masks = [(batch["attention_mask"], batch["input_ids"] != store.template.padding) for batch in inputs]
    assert all(tokens.all() if mask is None else torch.equal(mask.bool(), tokens) for mask, tokens in masks)
    assert not any(tokens.all() for mask, tokens in masks if mask is not None)
    assert {mask is None for mask, _ in masks} == unmasked


def test_the_model_is_given_batches_within_the_budget(model, store, every_triplet):
    tokens = []
    model.encoder.register_forward_pre_hook(
        lambda module, args, kwargs: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    TripletScorer(model, store, "float32", token_budget=150).score(every_triplet)
    assert max(tokens) <= 150
    assert len(tokens) > 1


# Memory


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_batch_that_does_not_fit_is_halved_and_gives_the_same_scores(rows, store, every_triplet):
    expected = TripletScorer(make_model(), store, "float32").score(every_triplet[:50])
    model = make_model()
    sizes = fail_above(model, rows)
    scores = TripletScorer(model, store, "float32").score(every_triplet[:50])
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    assert max(sizes) > rows
    assert sum(size for size in sizes if size <= rows) == 50


@pytest.mark.parametrize("tokens", [40, 300, 1000])
def test_sizes_that_did_not_fit_are_not_tried_again(tokens, model, store, every_triplet, monkeypatch):
    monkeypatch.setattr(scoring, "batch_cost", lambda device_type: 500)  # large batches
    expected = TripletScorer(make_model(), store, "float32").score(every_triplet)
    sizes = fail_above(model, tokens=tokens)
    scorer = TripletScorer(model, store, "float32", token_budget=2000)
    np.testing.assert_allclose(scorer.score(every_triplet), expected, rtol=1e-5, atol=1e-5)
    failed = [size for size in sizes if size > tokens]
    assert failed
    assert failed == sorted(set(failed), reverse=True)  # each attempt is smaller than all that failed
    assert len(failed) < len(sizes) / 2
    sizes.clear()
    np.testing.assert_allclose(scorer.score(every_triplet[::-1]), expected[::-1], rtol=1e-5, atol=1e-5)
    assert max(sizes) <= tokens


@pytest.mark.parametrize("count", [1, 60])
def test_single_row_that_does_not_fit_names_its_length(count, model, store, every_triplet):
    longest = int(store.lengths(every_triplet[:count]).max())
    fail_above(model, tokens=longest - 1)
    with pytest.raises(LassError, match=f"one sequence of {longest} tokens.*max_length") as error:
        TripletScorer(model, store, "float32").score(every_triplet[:count])
    assert "\n" not in str(error.value)


def test_other_runtime_errors_pass_through(model, store, graph):
    def fail(*_):
        raise RuntimeError("shapes cannot be multiplied")

    model.encoder.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        TripletScorer(model, store, "float32").score(graph["train"].triplets)


# Input that is refused


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_that_are_not_finite_raise(value, dtype, model, store, graph):
    with torch.no_grad():
        model.encoder.encoder.layer[-1].output.LayerNorm.weight.fill_(value)
    with pytest.raises(NonFiniteError, match="NaN or infinite") as error:
        TripletScorer(model, store, dtype).score(graph["train"].triplets)
    assert "\n" not in str(error.value)


def test_error_counts_and_names_the_triplets_that_are_not_finite(model, store, graph):
    head = graph.entities.find("garden")
    token = int(store.tokens[store.offsets[store.num_relations + head]])
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = float("nan")
    triplets = np.array([[0, 0, 2], [head, 0, 2], [0, 1, 2]])
    with pytest.raises(NonFiniteError, match=rf"1 of 3 scores .*\({head}, 0, 2\)"):
        TripletScorer(model, store, "float32").score(triplets)


@pytest.mark.parametrize("dtype", ["float16", "fp32", "", "Auto"])
def test_unknown_dtype_is_refused_by_name(dtype, model, store):
    with pytest.raises(LassError, match="expected one of auto, float32, bfloat16"):
        TripletScorer(model, store, dtype)


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
@pytest.mark.parametrize(
    ("triplets", "parts"),
    [
        ([[0.7, 1.2, 1]], ["type float64", "integers of shape (n, 3)"]),
        ([["cat", "eats", "dog"]], ["LassPredictor scores names"]),
        ([[0, 1, 1, 2]], ["shape (1, 4)"]),
        ([[0, 1, 1], [0, 1, -1]], ["(0, 1, -1)", "entities from 0 to 9 and relations from 0 to 2"]),
        ([[10, 0, 0]], ["(10, 0, 0)"]),
        ([[0, 3, 0]], ["(0, 3, 0)"]),  # the integer of an inverse, for a bi-encoder
    ],
)
def test_triplets_that_are_no_integers_of_the_graph_are_refused(triplets, parts, architecture, graph):
    model, processor = (make(architecture=architecture) for make in (make_model, partial(make_processor, graph)))
    with pytest.raises(LassError) as error:
        TripletScorer(model, processor.token_store(graph), "float32").score(triplets)
    one_line(error, *parts)


# Precision


def test_bfloat16_makes_a_copy_and_leaves_the_model_alone(model, store, graph):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scorer = TripletScorer(model, store, "bfloat16")
    scores = scorer.score(graph["train"].triplets)
    assert scorer.model is not model
    assert scorer.model.dtype == torch.bfloat16
    assert scores.dtype == np.float32
    assert model.dtype == torch.float32
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bfloat16_scores_are_close(model, store, every_triplet):
    exact, fast = (TripletScorer(model, store, dtype).score(every_triplet) for dtype in ("float32", "bfloat16"))
    np.testing.assert_allclose(fast, exact, atol=0.1)
    assert (fast != exact).any()


def test_model_that_has_the_dtype_is_used_as_it_is(model, store):
    assert TripletScorer(model, store, "float32").model is model


@pytest.mark.parametrize(("stored", "asked"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_the_dtype_is_that_of_the_encoder_and_not_of_a_learned_scale(stored, asked, graph):
    processor = make_processor(graph, architecture="bi-encoder")
    model = make_model(architecture="bi-encoder", normalize=True)
    model.encoder.to(getattr(torch, stored))
    scorer = TripletScorer(model, processor.token_store(), asked)
    assert {weight.dtype for weight in scorer.model.encoder.parameters()} == {getattr(torch, asked)}
    assert scorer.model.dtype == getattr(torch, asked)
    assert (model.encoder.dtype, scorer.model.log_scale.dtype) == (getattr(torch, stored), torch.float32)
    same = copy.deepcopy(model)
    same.encoder.to(getattr(torch, asked))
    expected = TripletScorer(same, processor.token_store(), asked).score(graph["train"].triplets)
    assert np.array_equal(scorer.score(graph["train"].triplets), expected)


def test_float32_copies_a_bfloat16_model(store):
    model = make_model().to(torch.bfloat16)
    scorer = TripletScorer(model, store, "float32")
    assert scorer.model.dtype == torch.float32
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, None),
        ({"avx512_bf16": False, "amx_bf16": False}, None),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_multiplies_it(capabilities, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert scoring_dtype("auto", torch.device("cpu")) is expected


def test_auto_without_native_bfloat16_uses_the_model_as_loaded(model, store, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert TripletScorer(model, store, "auto").model is model


def test_named_dtypes_do_not_depend_on_the_hardware(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert scoring_dtype("bfloat16", torch.device("cpu")) is torch.bfloat16
    assert scoring_dtype("float32", torch.device("cpu")) is torch.float32


# The model's mode


@pytest.mark.parametrize("training", [True, False])
def test_training_mode_is_restored(training, model, store, graph):
    model.train(training)
    TripletScorer(model, store, "float32").score(graph["train"].triplets)
    assert model.training is training
    assert model.encoder.encoder.layer[0].training is training


def test_training_mode_is_restored_after_an_error(model, store, graph):
    model.train()
    fail_above(model, rows=0)
    with pytest.raises(LassError):
        TripletScorer(model, store, "float32").score(graph["train"].triplets)
    assert model.training


def test_dropout_is_off_while_scoring(store, graph):
    model = make_model()
    expected = TripletScorer(model, store, "float32").score(graph["train"].triplets)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    scores = TripletScorer(model.train(), store, "float32").score(graph["train"].triplets)
    np.testing.assert_array_equal(scores, expected)


def test_scoring_leaves_no_gradients(model, store, graph):
    TripletScorer(model, store, "float32").score(graph["train"].triplets)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss = model(**store.assemble(graph["train"].triplets), labels=torch.ones(14, dtype=torch.int64)).loss
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_float32_is_float32_after_a_training_wrapped_the_forward_in_autocast(graph, processor):
    model = make_model()
    store = processor.token_store()
    before = TripletScorer(model, store, "float32").score(graph["train"].triplets)
    AcceleratorState._reset_state(reset_partial_state=True)  # of trainings in earlier tests
    wrapped = Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)
    forward = wrapped.forward
    after = TripletScorer(wrapped, store, "float32").score(graph["train"].triplets)
    assert np.array_equal(before, after)
    assert wrapped.forward == forward  # the trainer's model keeps its wrapper


def test_a_bfloat16_copy_keeps_the_precision_of_its_buffers(processor):
    scorer = TripletScorer(make_model("modernbert"), processor.token_store(), "bfloat16")
    floating = [buffer for buffer in scorer.model.buffers() if buffer.is_floating_point()]
    assert floating
    assert {buffer.dtype for buffer in floating} == {torch.float32}
    assert {parameter.dtype for parameter in scorer.model.parameters()} == {torch.bfloat16}

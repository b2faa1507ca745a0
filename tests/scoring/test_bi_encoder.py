"""The bi-encoder encodes queries and entities apart, with the same Eq. 1, the same engine and the same ranks."""

import numpy as np
import pytest
import torch
from helpers.bi_encoder import GEOMETRIES, bi_encoder_model, bi_encoder_processor, score_by_hand, texts_of_triplets
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TRAIN, make_model

from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    evaluate_link_prediction,
    evaluate_triplet_classification,
)
from lass_hf.core.architectures import BiEncoder
from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.evaluation.link_prediction import evaluate_relation_prediction, rank_split
from lass_hf.scoring.candidate_scores import make_split_scorer, scorer_from_triplets
from lass_hf.scoring.index_building import build_entity_index
from lass_hf.scoring.triplet_scorer import TripletScorer


@pytest.fixture(scope="module")
def processor():
    return bi_encoder_processor()


@pytest.fixture
def model():
    return bi_encoder_model()


def tokens_of(processor, batch, row):
    tokens = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][row].tolist())
    return " ".join(token for token in tokens if token != "[PAD]")


# Sequences


INVERSE_OF = "in ##v ##e ##r ##s ##e of"  # as the tokenizer splits it


@pytest.mark.parametrize(
    ("separators", "expected"),
    [
        (True, ("[CLS] cat [SEP] eats [SEP]", "[CLS] milk [SEP]", "[CLS] milk [SEP] {} eats [SEP]", "[CLS] cat [SEP]")),
        (False, ("[CLS] cat eats [SEP]", "[CLS] milk [SEP]", "[CLS] milk {} eats [SEP]", "[CLS] cat [SEP]")),
    ],
)
def test_a_triplet_is_two_queries_and_two_candidates(separators, expected):
    processor = bi_encoder_processor(separators=separators)
    batch = processor([("cat", "eats", "milk")])
    assert [tokens_of(processor, batch, row) for row in range(4)] == [text.format(INVERSE_OF) for text in expected]
    assert batch["pairs"].tolist() == [[[0, 1], [2, 3]]]
    gap = [0] if separators else []
    assert batch["segment_ids"][0][: 4 + len(gap)].tolist() == [0, 1, *gap, 2, 0]
    assert batch["segment_ids"][1][:3].tolist() == [0, 3, 0]


def test_texts_and_the_graph_give_the_same_sequences(processor):
    graph, store = processor.graph, processor.token_store()
    triplets = graph["train"].triplets
    batch = processor([tuple(names) for names in texts_of_triplets(graph, triplets)])
    rows = [part for slot in (2, 0) for part in (store.queries(triplets, slot), store.candidates(triplets[:, slot]))]
    expected = store.assemble(np.concatenate(rows))
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
    assert batch["attention_mask"].sum(1).tolist() == store.lengths(np.concatenate(rows)).tolist()


def test_long_texts_are_cut_to_max_length():
    processor = bi_encoder_processor(max_length=8)
    store = processor.token_store()
    triplets = processor.graph["train"].triplets
    for rows in (store.queries(triplets, 2), store.candidates(triplets[:, 0])):
        batch = store.assemble(rows)
        assert batch["input_ids"].shape[1] == 8
        assert ((batch["segment_ids"] > 0).sum(1) > 0).all()
        assert (store.lengths(rows) == batch["attention_mask"].sum(1).numpy()).all()


def test_the_processor_keeps_its_architecture(tmp_path):
    bi_encoder_processor().save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert again.architecture == "bi-encoder"
    assert again.model_input_names == ["input_ids", "attention_mask", "segment_ids", "pairs"]


# Scores


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_scores_are_eq_1_over_vectors_of_the_bi_encoder(kind, geometry, processor):
    model = make_model(kind, architecture="bi-encoder", **GEOMETRIES[geometry])
    graph = processor.graph
    triplets = np.concatenate([graph["train"].triplets, graph["test"].triplets])
    expected = np.array([score_by_hand(model, processor, *texts) for texts in texts_of_triplets(graph, triplets)])
    scorer = TripletScorer(model, processor.token_store(), "float32")
    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(scorer.score(triplets, 2), expected[:, 0], **tolerance)
    np.testing.assert_allclose(scorer.score(triplets, 0), expected[:, 1], **tolerance)
    np.testing.assert_allclose(scorer.score(triplets), expected.mean(axis=1), **tolerance)
    with torch.no_grad():
        output = model(**processor(texts_of_triplets(graph, triplets)))
    np.testing.assert_allclose(output.scores.numpy(), expected.mean(axis=1), **tolerance)
    assert output.scores.dtype == torch.float32


def test_the_entity_of_a_query_counts_less_as_its_candidate(processor):
    model = bi_encoder_model(self_match_weight=0.01)
    scorer = TripletScorer(model, processor.token_store(), "float32")
    triplets = np.array([[0, 0, 0], [3, 1, 3], [0, 0, 3]])
    texts = texts_of_triplets(processor.graph, triplets)
    expected = np.array([score_by_hand(model, processor, *text) for text in texts])
    np.testing.assert_allclose(scorer.score(triplets, 2), expected[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scorer.score(triplets), expected.mean(axis=1), rtol=1e-4, atol=1e-4)
    mask = np.ones((3, 10), dtype=bool)
    for slot in (0, 2):
        matrix = make_split_scorer(scorer, processor.graph["test"])(triplets, slot, np.arange(10), mask, None)
        expected_matrix = scorer_from_triplets(scorer.score)(triplets, slot, np.arange(10), mask, None)
        np.testing.assert_allclose(matrix, expected_matrix, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weights", [{}, {"neighbor_weight": 0.3}])
def test_an_entity_with_the_text_of_the_query_entity_counts_less_too(weights):
    graph = KnowledgeGraph.from_triplets(
        [*TRAIN, ("tom", "eats", "milk")], TRAIN[:1], TRAIN[:1], entity_text={**ENTITY_TEXT, "tom": ENTITY_TEXT["cat"]}
    )
    processor, query = bi_encoder_processor(graph), np.array([[graph.entities.ids.index("cat"), 0, 0]])
    entities, scores_by_weight = np.arange(graph.num_entities), {}
    for self_match_weight in (1.0, 0.01):
        model = bi_encoder_model(self_match_weight=self_match_weight, **weights)
        scorer = TripletScorer(model, processor.token_store(), "float32")
        triplets = np.column_stack([np.repeat(query[:, :2], len(entities), axis=0), entities])
        matrix = make_split_scorer(scorer, graph["test"])(
            query, 2, entities, np.ones((1, len(entities)), dtype=bool), None
        )
        scores_by_weight[self_match_weight] = [scorer.score(triplets, 2), scorer.score(triplets), matrix[0]]
    alike = np.isin(graph.entities.ids, ["cat", "tom"])
    for without, scores in zip(*scores_by_weight.values(), strict=True):
        np.testing.assert_allclose(scores - without, np.where(alike, np.log(0.01), 0), atol=1e-5)


def test_unit_scores_are_a_cosine_up_to_constants(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    triplets = processor.graph["train"].triplets
    u, t = scorer.encode_queries(triplets, 2), scorer.encode_entities(triplets[:, 2])
    expected = model.config.margin - 12.0 * (1 - torch.nn.functional.cosine_similarity(u, t))
    np.testing.assert_allclose(scorer.score(triplets, 2), expected.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(u.norm(dim=1).numpy(), 1, rtol=1e-5)


def test_an_entity_has_one_vector_in_all_calls(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    all_vectors = scorer.encode_entities(np.arange(10))
    some = scorer.encode_entities(np.array([7, 3, 7]))
    torch.testing.assert_close(some, all_vectors[[7, 3, 7]])
    assert torch.equal(some[0], some[2])
    assert scorer.encode_entities(np.empty(0, dtype=np.int64)).shape == (0, 32)


def test_the_model_keeps_its_architecture_and_its_scale(model, processor, tmp_path):
    with torch.no_grad():
        model.log_scale.fill_(3.0)
    model.save_pretrained(tmp_path)
    again = LassForKGCompletion.from_pretrained(tmp_path)
    assert (again.config.architecture, again.config.normalize, again.config.scale) == ("bi-encoder", True, 12.0)
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
    processor = bi_encoder_processor(duplicate_graph())
    model = make_model(architecture="bi-encoder", **GEOMETRIES[geometry])
    scorer = TripletScorer(model, processor.token_store(), "float32")

    score_energies = TripletScorer.score_energies

    def rounded(
        triplets, slot, progress
    ):  # float64 would differ in the last bits; equal scores stay equal when rounded.
        return np.round(scorer.score(triplets, slot, progress), 4)

    expected = rank_split(scorer_from_triplets(rounded), processor.graph["test"], quiet=True)
    monkeypatch.setattr(
        "lass_hf.scoring.triplet_scorer.TripletScorer.score_energies",
        lambda self, squared: torch.round(score_energies(self, squared), decimals=4),
    )
    result = evaluate_link_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    np.testing.assert_array_equal(result.ranks, expected.ranks)
    np.testing.assert_array_equal(result.num_candidates, expected.num_candidates)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_entities_with_the_same_text_are_tied_exactly(dtype, model):
    processor = bi_encoder_processor(duplicate_graph())
    result = evaluate_link_prediction(model, processor, processor.graph, dtype=dtype, quiet=True)
    # The queries (?, eats, milk), (mouse, eats, ?) and (?, lives_in, garden): the entity has a twin that is not known.
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


def test_a_finished_ranking_is_read_again_and_scores_no_query(model, processor, tmp_path, monkeypatch):
    monkeypatch.setattr(BiEncoder, "candidates_per_chunk", 10)
    choices = {"dtype": "float32", "quiet": True}
    expected = evaluate_link_prediction(model, processor, processor.graph, **choices)
    first = evaluate_link_prediction(model, processor, processor.graph, resume_dir=tmp_path, **choices)
    monkeypatch.setattr(TripletScorer, "encode_queries", lambda *_: pytest.fail("a query was encoded again"))
    again = evaluate_link_prediction(model, processor, processor.graph, resume_dir=tmp_path, **choices)
    np.testing.assert_array_equal(first.ranks, expected.ranks)
    np.testing.assert_array_equal(again.ranks, expected.ranks)


def test_relation_prediction_takes_the_mean_of_both_directions(model, processor):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    result = evaluate_relation_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    expected = rank_split(scorer_from_triplets(scorer.score), processor.graph["test"], (1,), quiet=True)
    np.testing.assert_array_equal(result.ranks, expected.ranks)


def test_classification_takes_the_mean_of_both_directions(model, labeled_graph):
    processor = bi_encoder_processor(labeled_graph)
    result = evaluate_triplet_classification(model, processor, labeled_graph, dtype="float32", quiet=True)
    scorer = TripletScorer(model, processor.token_store(), "float32")
    triplets = labeled_graph["test"].triplets
    both = (scorer.score(triplets, 0) + scorer.score(triplets, 2)) / 2
    np.testing.assert_allclose(result.scores, both, rtol=1e-6)


def test_a_scale_that_is_not_a_number_is_an_error_and_not_a_perfect_rank(model, processor):
    with torch.no_grad():
        model.log_scale.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="scores are NaN or infinite"):
        evaluate_link_prediction(model, processor, processor.graph, dtype="float32", quiet=True)
    with pytest.raises(NonFiniteError, match="scores are NaN or infinite"):
        LassPredictor(model, processor, "float32").predict("cat", "eats")


def test_relations_are_ranked_without_an_index(model, processor, monkeypatch):
    monkeypatch.setattr(TripletScorer, "encode_entities", None)
    evaluate_relation_prediction(model, processor, processor.graph, dtype="float32", quiet=True)


# The index of a graph


def test_an_index_is_kept_and_read_again(model, processor, tmp_path):
    scorer = TripletScorer(model, processor.token_store(), "float32")
    index = build_entity_index(scorer, tmp_path)
    calls = []
    second_scorer = TripletScorer(model, processor.token_store(), "float32")
    second_scorer.encode_entities = lambda *arguments: calls.append(arguments)
    again = build_entity_index(second_scorer, tmp_path)
    assert calls == []
    torch.testing.assert_close(torch.cat(again.blocks), torch.cat(index.blocks), rtol=0, atol=0)


def test_an_index_that_cannot_be_kept_is_in_memory(model, processor, tmp_path, monkeypatch, caplog):
    """Such a folder is one that other users share, made on a machine with another precision."""
    scorer = TripletScorer(model, processor.token_store(), "float32")
    monkeypatch.setattr("lass_hf.scoring.index_building.os.access", lambda *_: False)
    index = build_entity_index(scorer, tmp_path)
    assert not list(tmp_path.iterdir())
    assert f"{tmp_path / 'float32'} cannot be made" in caplog.text
    torch.testing.assert_close(torch.cat(index.blocks), scorer.encode_entities(np.arange(10)), rtol=1e-5, atol=1e-5)


def test_an_index_of_another_model_or_graph_is_refused(model, processor, tmp_path):
    build_entity_index(TripletScorer(model, processor.token_store(), "float32"), tmp_path)
    with pytest.raises(LassError, match="another model"):
        build_entity_index(TripletScorer(bi_encoder_model(seed=1), processor.token_store(), "float32"), tmp_path)
    changed = {**ENTITY_TEXT, "cat": "a bird"}
    other = bi_encoder_processor(KnowledgeGraph.from_triplets(TRAIN, entity_text=changed, relation_text=RELATION_TEXT))
    with pytest.raises(LassError, match="another graph"):
        build_entity_index(TripletScorer(model, other.token_store(), "float32"), tmp_path)


def test_an_index_serves_models_that_use_its_distances_in_other_ways(processor, tmp_path):
    build_entity_index(TripletScorer(bi_encoder_model(), processor.token_store(), "float32"), tmp_path)
    choices = {"scale": 3.0, "learn_scale": False, "margin": 1.0}
    weights = {"self_match_weight": 0.1, "neighbor_weight": 0.2, "frequency_weight": 0.3}
    scorer = TripletScorer(bi_encoder_model(**choices, **weights), processor.token_store(), "float32")
    build_entity_index(scorer, tmp_path)
    assert scorer.tokens == 0
    scorer = TripletScorer(bi_encoder_model(normalize=False, scale=20.0), processor.token_store(), "float32")
    with pytest.raises(LassError, match="another model"):
        build_entity_index(scorer, tmp_path)


def test_entities_that_are_new_to_the_graph_are_the_only_ones_encoded(model, processor, tmp_path):
    build_entity_index(TripletScorer(model, processor.token_store(), "float32"), tmp_path)
    text = {**ENTITY_TEXT, "bird": "a bird", "fish": "a fish"}
    more = bi_encoder_processor(
        KnowledgeGraph.from_triplets([*TRAIN, ("bird", "eats", "fish")], entity_text=text, relation_text=RELATION_TEXT)
    )
    scorer = TripletScorer(model, more.token_store(), "float32")
    encode, encoded = scorer.encode_entities, []
    scorer.encode_entities = lambda entities: encoded.extend(entities.tolist()) or encode(entities)
    index = build_entity_index(scorer, tmp_path)
    assert encoded == [10, 11]
    torch.testing.assert_close(torch.cat(index.blocks), encode(np.arange(12)), rtol=1e-5, atol=1e-5)

"""Mined negatives: the nearest wrong answers, by brute force; drawn from by key, and mixed with uniform ones."""

import numpy as np
import pytest
from helpers.tiny import make_graph, make_model, wordpiece_tokenizer

from lass_hf import KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.core.errors import LassError
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.hard_negatives import mine_negatives
from lass_hf.training.negative_sampling import NegativeSampler

GRAPH = make_graph()
TRAIN = GRAPH["train"].triplets


@pytest.fixture(scope="module")
def scorer():
    processor = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder")
    return TripletScorer(make_model(architecture="bi-encoder", normalize=True), processor.token_store(GRAPH), "float32")


@pytest.fixture(scope="module")
def mined(scorer):
    return mine_negatives(scorer, GRAPH["train"], depth=5, quiet=True)


def wrong_answers(triplet, slot):
    known = {tuple(row) for row in TRAIN.tolist()}
    every = [[*triplet[:slot], entity, *triplet[slot + 1 :]] for entity in range(GRAPH.num_entities)]
    return [row for row in every if tuple(row) not in known]


@pytest.mark.parametrize("slot", [0, 2])
def test_mined_are_the_best_wrong_answers(slot, scorer, mined):
    for triplet, found in zip(TRAIN.tolist(), mined.lookup(slot, TRAIN).tolist(), strict=True):
        wrong = np.array(wrong_answers(triplet, slot))
        best = np.argsort(-scorer.score(wrong, slot), kind="stable")[:5]
        assert found == wrong[best, slot].tolist()


def test_some_of_the_training_triplets_are_mined_for_as_all_are(scorer, mined):
    some = mine_negatives(scorer, GRAPH["train"].sample(0.5, 0), depth=5, quiet=True)
    triplets = GRAPH["train"].sample(0.5, 0).triplets
    for slot in (0, 2):
        assert len(some.queries[slot]) < len(mined.queries[slot])
        np.testing.assert_array_equal(some.lookup(slot, triplets), mined.lookup(slot, triplets))


def test_fewer_are_found_where_there_are_fewer_wrong_answers(scorer):
    most = max(
        len({row[2 - other] for row in TRAIN.tolist() if row[1] == triplet[1] and row[other] == triplet[other]})
        for triplet in TRAIN.tolist()
        for other in (0, 2)
    )
    mined = mine_negatives(scorer, GRAPH["train"], depth=100, quiet=True)
    assert min(mined.entities[slot].shape[1] for slot in (0, 2)) == GRAPH.num_entities - most


def test_an_entity_that_reads_like_a_right_answer_is_no_wrong_one(scorer):
    """Nor one that is an answer to a question that reads the same."""
    text = {"cat": "a pet", "dog": "a pet", "milk": "a drink", "tea": "a drink", "fish": "a fish", "oak": "a tree"}
    rows = [("cat", "eats", "milk"), ("dog", "eats", "fish"), ("oak", "eats", "oak"), ("tea", "eats", "fish")]
    graph = KnowledgeGraph.from_triplets(rows, entity_text=text)
    store = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder").token_store(graph)
    mined = mine_negatives(TripletScorer(scorer.model, store, "float32"), graph["train"], depth=9, quiet=True)
    train = graph["train"].triplets
    found = [[graph.entities.ids[entity] for entity in row] for row in mined.lookup(2, train).tolist()]
    assert found[0] != []
    for head, row in zip(("cat", "dog"), found[:2], strict=True):
        assert not {"milk", "tea", "fish"} & set(row), head


def test_a_query_that_every_entity_answers(scorer):
    processor = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder")
    full = KnowledgeGraph.from_triplets([("cat", "eats", "cat"), ("cat", "eats", "dog")])
    with pytest.raises(LassError, match="leaves no hard negatives"):
        mine_negatives(TripletScorer(scorer.model, processor.token_store(full)), full["train"], quiet=True)


def test_triplets_that_were_not_mined_for(mined):
    with pytest.raises(LassError, match="mined for other training triplets"):
        mined.lookup(2, np.array([[9, 0, 9]]))


@pytest.mark.parametrize("num_mined", [0, 1, 3, 5])
def test_so_many_of_a_slots_negatives_are_mined_and_none_is_known(num_mined, mined):
    corrupted = NegativeSampler(GRAPH, 5, hard_negatives=mined, num_mined=num_mined).corrupt(TRAIN, epoch=1)
    known = {tuple(row) for row in TRAIN.tolist()}
    assert not known & {tuple(row) for row in corrupted.triplets.tolist()}
    for row, triplet in enumerate(TRAIN):
        mine = corrupted.triplets[corrupted.rows == row]
        for slot in (0, 2):
            values = mine[mine[:, slot] != triplet[slot], slot]
            nearest = mined.lookup(slot, triplet[None])[0]
            assert np.isin(values, nearest).sum() >= num_mined
            assert len(np.unique(values[:num_mined])) == num_mined
            assert np.isin(values[:num_mined], nearest).all()


def test_every_mined_answer_is_drawn_equally_often(mined):
    draws = [
        NegativeSampler(GRAPH, 1, seed=seed, hard_negatives=mined, num_mined=1).corrupt(TRAIN[:1]).triplets
        for seed in range(400)
    ]
    heads = [row[0] for rows in draws for row in rows.tolist() if row[0] != TRAIN[0, 0]]
    counts = np.unique(heads, return_counts=True)[1]
    assert len(counts) == 5
    assert counts.min() > 50  # 80 expected, standard deviation 8


def test_the_same_seed_epoch_and_triplet_give_the_same(mined):
    sampler = NegativeSampler(GRAPH, 5, hard_negatives=mined, num_mined=4)
    every = sampler.corrupt(TRAIN, epoch=2)
    alone = sampler.corrupt(TRAIN[3:4], epoch=2)
    np.testing.assert_array_equal(every.triplets[every.rows == 3], alone.triplets)
    assert not np.array_equal(sampler.corrupt(TRAIN, epoch=3).triplets, every.triplets)


@pytest.mark.parametrize("num_mined", [-1, 6])
def test_more_mined_than_negatives_is_refused(num_mined, mined):
    with pytest.raises(LassError, match=r"expected 0 to num_negatives \(5\)"):
        NegativeSampler(GRAPH, 5, hard_negatives=mined, num_mined=num_mined)


def test_an_evaluation_draws_uniformly(mined):
    processor = LassProcessor(wordpiece_tokenizer())
    collate = KGDataCollator(processor, GRAPH, hard_negatives=mined, num_mined=4)
    validation = GRAPH["validation"].triplets
    triplets, labels = collate.with_negatives(validation, uniform=True)
    expected = KGDataCollator(processor, GRAPH).with_negatives(validation)
    np.testing.assert_array_equal(triplets, expected[0])
    np.testing.assert_array_equal(labels, expected[1])

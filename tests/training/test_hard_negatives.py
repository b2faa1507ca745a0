"""Hard negatives are the nearest unknown entities, found by brute force; they are drawn by key, beside uniform ones."""

import numpy as np
import pytest
from helpers.tiny import make_graph, make_model, wordpiece_tokenizer

from lass_hf import KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.core.errors import LassError
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.hard_negatives import mine_hard_negatives
from lass_hf.training.negative_sampling import NegativeSampler

GRAPH = make_graph()
TRAIN = GRAPH["train"].triplets


@pytest.fixture(scope="module")
def scorer():
    processor = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder")
    return TripletScorer(make_model(architecture="bi-encoder", normalize=True), processor.token_store(GRAPH), "float32")


@pytest.fixture(scope="module")
def hard_negatives(scorer):
    return mine_hard_negatives(scorer, GRAPH["train"], depth=5, quiet=True)


def unknown_triplets(triplet, slot):
    known = {tuple(row) for row in TRAIN.tolist()}
    triplets = [[*triplet[:slot], entity, *triplet[slot + 1 :]] for entity in range(GRAPH.num_entities)]
    return [row for row in triplets if tuple(row) not in known]


@pytest.mark.parametrize("slot", [0, 2])
def test_hard_negatives_are_the_best_unknown_entities(slot, scorer, hard_negatives):
    for triplet, hard in zip(TRAIN.tolist(), hard_negatives.lookup(slot, TRAIN).tolist(), strict=True):
        unknown = np.array(unknown_triplets(triplet, slot))
        best = np.argsort(-scorer.score(unknown, slot), kind="stable")[:5]
        assert hard == unknown[best, slot].tolist()


def test_a_part_of_the_training_triplets_has_the_hard_negatives_of_the_whole(scorer, hard_negatives):
    some = mine_hard_negatives(scorer, GRAPH["train"].sample(0.5, 0), depth=5, quiet=True)
    triplets = GRAPH["train"].sample(0.5, 0).triplets
    for slot in (0, 2):
        assert len(some.queries[slot]) < len(hard_negatives.queries[slot])
        np.testing.assert_array_equal(some.lookup(slot, triplets), hard_negatives.lookup(slot, triplets))


@pytest.fixture(scope="module")
def hub():
    """A graph in which "hub" eats all but two, "all" eats everyone, and eight others eat one each."""
    names = [f"n{number}" for number in range(8)]
    rows = [("hub", "eats", name) for name in names] + [("all", "eats", name) for name in (*names, "hub", "all")]
    return KnowledgeGraph.from_triplets([*rows, *((name, "eats", "hub") for name in names)])


@pytest.fixture(scope="module")
def mined_around_hub(hub, scorer):
    store = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder").token_store(hub)
    hub_scorer = TripletScorer(scorer.model, store, "float32")
    return hub_scorer, mine_hard_negatives(hub_scorer, hub["train"], depth=4, quiet=True)


@pytest.mark.parametrize("slot", [0, 2])
def test_a_hub_has_fewer_hard_negatives_and_takes_none_from_others(slot, hub, mined_around_hub):
    hub_scorer, mined = mined_around_hub
    train = hub["train"].triplets
    known, counts = {tuple(row) for row in train.tolist()}, set()
    for triplet, hard in zip(train.tolist(), mined.lookup(slot, train).tolist(), strict=True):
        triplets = [[*triplet[:slot], entity, *triplet[slot + 1 :]] for entity in range(hub.num_entities)]
        unknown = np.array([row for row in triplets if tuple(row) not in known]).reshape(-1, 3)
        best = np.argsort(-hub_scorer.score(unknown, slot), kind="stable")[:4] if len(unknown) else []
        assert hard == [*unknown[best, slot].tolist(), *[-1] * (4 - len(best))]
        counts.add(len(best))
    assert counts == ({1, 4} if slot == 0 else {0, 2, 4})


def test_what_a_hub_lacks_is_drawn_uniformly(hub, mined_around_hub):
    mined, train = mined_around_hub[1], hub["train"].triplets
    known = {tuple(row) for row in train.tolist()}
    choices = {"corruption": "tail", "num_negatives": 4, "hard_negatives": mined}
    corrupted = NegativeSampler(hub, num_mined=3, **choices).corrupt(train)
    assert not known & {tuple(row) for row in corrupted.triplets.tolist()}
    for row, padded in enumerate(mined.lookup(2, train)):
        tails, hard = corrupted.triplets[corrupted.rows == row, 2], padded[padded >= 0]
        num_hard = min(3, len(hard))
        num_valid = hub.num_entities - sum(head == train[row, 0] for head, _, _ in known)
        assert len(np.unique(tails[:num_hard])) == num_hard
        assert np.isin(tails[:num_hard], hard).all()
        assert len(tails) == num_hard + min(4 - num_hard, num_valid)
    # The uniform ones of a row are those that it draws without hard negatives, as many as it needs.
    full = np.flatnonzero((mined.lookup(2, train) >= 0).all(1))
    alone = NegativeSampler(hub, 1, corruption="tail").corrupt(train[full])
    drawn = [corrupted.triplets[corrupted.rows == row][3] for row in full]
    np.testing.assert_array_equal(drawn, alone.triplets)


def test_an_entity_with_the_text_of_a_known_one_is_no_hard_negative(scorer):
    """Neither is a known entity of another query with the same texts."""
    text = {"cat": "a pet", "dog": "a pet", "milk": "a drink", "tea": "a drink", "fish": "a fish", "oak": "a tree"}
    rows = [("cat", "eats", "milk"), ("dog", "eats", "fish"), ("oak", "eats", "oak"), ("tea", "eats", "fish")]
    graph = KnowledgeGraph.from_triplets(rows, entity_text=text)
    store = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder").token_store(graph)
    hard_negatives = mine_hard_negatives(
        TripletScorer(scorer.model, store, "float32"), graph["train"], depth=9, quiet=True
    )
    train = graph["train"].triplets
    hard = [[graph.entities.ids[entity] for entity in row] for row in hard_negatives.lookup(2, train).tolist()]
    assert hard[0] != []
    for head, row in zip(("cat", "dog"), hard[:2], strict=True):
        assert not {"milk", "tea", "fish"} & set(row), head


def test_queries_for_which_every_entity_is_known_are_skipped_and_counted(scorer, caplog):
    processor = LassProcessor(wordpiece_tokenizer(), architecture="bi-encoder")
    full = KnowledgeGraph.from_triplets([("cat", "eats", "cat"), ("cat", "eats", "dog")])
    mined = mine_hard_negatives(TripletScorer(scorer.model, processor.token_store(full)), full["train"], quiet=True)
    assert mined.lookup(2, full["train"].triplets).tolist() == [[-1], [-1]]
    assert mined.lookup(0, full["train"].triplets).tolist() == [[1], [1]]
    (record,) = caplog.records
    assert record.getMessage().startswith("1 of 3 queries have no hard negatives, because all entities are known")
    corrupted = NegativeSampler(full, 1, hard_negatives=mined, num_mined=1).corrupt(full["train"].triplets)
    assert corrupted.triplets.tolist() == [[1, 0, 0], [1, 0, 1]]


def test_triplets_without_hard_negatives_are_refused(hard_negatives):
    with pytest.raises(LassError, match="mined for other training triplets"):
        hard_negatives.lookup(2, np.array([[9, 0, 9]]))


@pytest.mark.parametrize("num_mined", [0, 1, 3, 5])
def test_num_mined_negatives_of_a_slot_are_hard_and_none_is_known(num_mined, hard_negatives):
    corrupted = NegativeSampler(GRAPH, 5, hard_negatives=hard_negatives, num_mined=num_mined).corrupt(TRAIN, epoch=1)
    known = {tuple(row) for row in TRAIN.tolist()}
    assert not known & {tuple(row) for row in corrupted.triplets.tolist()}
    for row, triplet in enumerate(TRAIN):
        negatives = corrupted.triplets[corrupted.rows == row]
        for slot in (0, 2):
            values = negatives[negatives[:, slot] != triplet[slot], slot]
            nearest = hard_negatives.lookup(slot, triplet[None])[0]
            assert np.isin(values, nearest).sum() >= num_mined
            assert len(np.unique(values[:num_mined])) == num_mined
            assert np.isin(values[:num_mined], nearest).all()


def test_every_hard_negative_is_drawn_equally_often(hard_negatives):
    draws = [
        NegativeSampler(GRAPH, 1, seed=seed, hard_negatives=hard_negatives, num_mined=1).corrupt(TRAIN[:1]).triplets
        for seed in range(400)
    ]
    heads = [row[0] for rows in draws for row in rows.tolist() if row[0] != TRAIN[0, 0]]
    counts = np.unique(heads, return_counts=True)[1]
    assert len(counts) == 5
    assert counts.min() > 50  # 80 expected, standard deviation 8


def test_the_same_seed_epoch_and_triplet_give_the_same(hard_negatives):
    sampler = NegativeSampler(GRAPH, 5, hard_negatives=hard_negatives, num_mined=4)
    together = sampler.corrupt(TRAIN, epoch=2)
    alone = sampler.corrupt(TRAIN[3:4], epoch=2)
    np.testing.assert_array_equal(together.triplets[together.rows == 3], alone.triplets)
    assert not np.array_equal(sampler.corrupt(TRAIN, epoch=3).triplets, together.triplets)


@pytest.mark.parametrize("num_mined", [-1, 6])
def test_more_hard_negatives_than_negatives_are_refused(num_mined, hard_negatives):
    with pytest.raises(LassError, match=r"expected 0 to num_negatives \(5\)"):
        NegativeSampler(GRAPH, 5, hard_negatives=hard_negatives, num_mined=num_mined)


def test_an_evaluation_draws_uniformly(hard_negatives):
    processor = LassProcessor(wordpiece_tokenizer())
    collate = KGDataCollator(processor, GRAPH, hard_negatives=hard_negatives, num_mined=4)
    validation = GRAPH["validation"].triplets
    triplets, labels = collate.with_negatives(validation, uniform=True)
    expected = KGDataCollator(processor, GRAPH).with_negatives(validation)
    np.testing.assert_array_equal(triplets, expected[0])
    np.testing.assert_array_equal(labels, expected[1])

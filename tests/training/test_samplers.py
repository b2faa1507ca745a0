"""Blocks of neighbors: each epoch has every triplet once, in another order, and a batch has fewer texts to encode."""

import numpy as np
import pytest
from helpers.trainings import trainer_of
from hypothesis import given
from hypothesis import strategies as st

from lass_hf import LassError
from lass_hf.training.samplers import NeighborhoodSampler, neighborhood_order


def chain(count):
    """Returns the triplets of the graph 0 - 1 - 2 - ..., whose neighborhoods are known."""
    numbers = np.arange(count)
    return np.stack([numbers, np.zeros_like(numbers), numbers + 1], axis=1)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9)), max_size=40),
    st.integers(1, 50),
    st.integers(0, 3),
)
def test_every_triplet_comes_once(triplets, size, seed):
    array = np.array(triplets, dtype=np.int64).reshape(-1, 3)
    order = neighborhood_order(array, size, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(triplets)))


def test_blocks_of_a_chain_are_pieces_of_it():
    """In a chain, a block of neighbors spans few entities; shuffled triplets hardly ever share one."""
    triplets = chain(1000)
    rng = np.random.default_rng(0)

    def entities(order):
        blocks = triplets[order][: 1000 // 10 * 10].reshape(-1, 10, 3)
        return np.mean([len(np.unique(block[:, [0, 2]])) for block in blocks])

    assert entities(rng.permutation(1000)) > 19
    assert entities(neighborhood_order(triplets, 10, rng)) < 16


def test_an_epoch_has_an_order_of_its_own_and_keeps_it():
    sampler = NeighborhoodSampler(chain(50), 4, seed=7)
    first = list(sampler)
    assert list(sampler) == first
    assert len(sampler) == 50
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(NeighborhoodSampler(chain(50), 4, seed=8)) != first


def test_the_trainer_takes_the_order_of_each_epoch(tmp_path, graph):
    training = trainer_of(tmp_path, graph, "bi-encoder", neighborhood_size=3, num_train_epochs=2)
    seen, collate = [], training.data_collator.__call__
    training.data_collator = lambda features: seen.append(collate(features)["triplets"]) or collate(features)
    training.train()
    triplets, epochs = training.train_dataset.triplets, np.split(np.concatenate(seen), 2)
    for epoch, drawn in enumerate(epochs):
        sampler = NeighborhoodSampler(triplets, 3, training.args.seed)
        sampler.set_epoch(epoch)
        np.testing.assert_array_equal(drawn, triplets[list(sampler)])


def test_the_order_has_the_seed_of_the_data(tmp_path, graph):
    choices = {"neighborhood_size": 3, "max_steps": 1, "seed": 7}
    orders = []
    for name, data_seed in (("none", None), ("same", 7), ("other", 8)):
        training = trainer_of(tmp_path / name, graph, "bi-encoder", data_seed=data_seed, **choices)
        orders.append(list(training._get_train_sampler()))
    assert orders[0] == orders[1] != orders[2]


def test_blocks_of_neighbors_with_a_cross_encoder_are_refused(tmp_path, graph):
    with pytest.raises(LassError, match=r"neighborhood_size=3 needs architecture=.bi-encoder."):
        trainer_of(tmp_path, graph, "cross-encoder", neighborhood_size=3)
    with pytest.raises(LassError, match="neighborhood_size=0"):
        trainer_of(tmp_path, graph, "bi-encoder", neighborhood_size=0)

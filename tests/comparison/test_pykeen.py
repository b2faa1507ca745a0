"""PyKEEN trains every method, and its own evaluator agrees with the project's ranks. Needs the extra `compare`."""

import logging
import os
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import integer_graph, one_line

from lass_hf import rank_split
from lass_hf.comparison.embedding_scores import score_triplets, scorer_from_embeddings
from lass_hf.comparison.embedding_training import check_pykeen, train_embeddings
from lass_hf.comparison.methods import EMBEDDINGS
from lass_hf.core.errors import LassError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
OURS = {
    "mrr": "inverse_harmonic_mean_rank",
    "mr": "arithmetic_mean_rank",
    **{f"hits@{k}": f"hits_at_{k}" for k in (1, 3, 10)},
}


@pytest.fixture(scope="module", autouse=True)
def _pykeen():
    pytest.importorskip("pykeen")
    check_pykeen()


@pytest.fixture(scope="module")
def graph():
    """30 entities, 4 relations, 200 triplets, some of them of a cycle, others random."""
    generator = np.random.default_rng(3)
    cycle = [(i, i % 2, (i + 1) % 30) for i in range(30)]
    rows = np.stack([generator.integers(size, size=200) for size in (30, 4, 30)], axis=1)
    rows = generator.permutation(np.unique(np.concatenate([cycle, rows]), axis=0)).tolist()
    return integer_graph(rows[:160], 30, 4, validation=rows[160:180], test=rows[180:200])


def train(graph, name, epochs=2, **more):
    method = replace(EMBEDDINGS[name], epochs=epochs, batch_size=32)
    return train_embeddings(method, graph["train"].triplets, graph.num_entities, graph.num_relations, **more)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_figures_are_those_of_pykeens_own_evaluator(graph, name):
    from pykeen.evaluation import RankBasedEvaluator

    model = train(graph, name)
    metrics = rank_split(scorer_from_embeddings(model, 1000), graph["test"], quiet=True).metrics
    tensors = {split: torch.from_numpy(graph[split].triplets) for split in ("train", "validation", "test")}
    with torch.inference_mode():
        theirs = RankBasedEvaluator(filtered=True).evaluate(
            model, tensors["test"], additional_filter_triples=[tensors["train"], tensors["validation"]], use_tqdm=False
        )
    for ours, name_there in OURS.items():
        assert metrics[ours] == pytest.approx(theirs.get_metric(f"both.realistic.{name_there}"), abs=1e-6), ours
    assert metrics["num_queries"] == 40
    np.testing.assert_allclose(
        score_triplets(model, graph["test"].triplets, 1000),
        model.predict_hrt(tensors["test"])[:, 0].detach().numpy(),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["complex", "transe"])
def test_a_training_is_that_of_its_seed(graph, name):
    one, same, other = (train(graph, name, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["distmult", "rotate"])
def test_training_learns_the_training_triplets(graph, name):
    first, last = (
        rank_split(scorer_from_embeddings(train(graph, name, epochs)), graph["train"], quiet=True).metrics["mrr"]
        for epochs in (1, 40)
    )
    assert last > first + 0.1


def test_a_batch_of_one_query_would_be_left_out(graph):
    triplets = graph["train"].triplets
    queries = sum(len(np.unique(triplets[:, part], axis=0)) for part in (slice(2), slice(1, 3)))
    for size in (queries - 1, queries, 10 * queries):
        method = replace(EMBEDDINGS["conve"], epochs=1, batch_size=size)
        train_embeddings(method, triplets, graph.num_entities, graph.num_relations)


def test_time_ends_a_training_after_an_epoch(graph):
    done = []
    train(graph, "distmult", epochs=50, minutes=1e-9, on_epoch=lambda: done.append(1))
    assert len(done) == 1


def test_a_training_that_diverges_is_an_error_in_one_line(graph):
    method = replace(EMBEDDINGS["distmult"], learning_rate=1e30, epochs=20)
    with pytest.raises(LassError) as error:
        train_embeddings(method, graph["train"].triplets, graph.num_entities, graph.num_relations)
    one_line(error, "DistMult", "diverged")


def test_nothing_is_printed_and_the_random_numbers_of_others_go_on(graph, capsys, caplog):
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    level = logging.getLogger("pykeen").level
    train(graph, "conve")
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("pykeen").level == level


def test_pykeen_leaves_nothing_in_the_home(tmp_path):
    code = "from lass_hf.comparison.embedding_training import check_pykeen; print(check_pykeen())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYSTOW", "PYKEEN"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.startswith("1.")
    assert not list(tmp_path.iterdir())

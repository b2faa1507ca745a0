"""Trials of a search: trainings of one recipe with other values, as long as each other, and measured alike."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from helpers.tiny import make_model, make_processor

from lass_hf import KnowledgeGraph
from lass_hf.runs import search_trials
from lass_hf.runs.search_trials import Budget, Trials, measure, sample_ranking
from lass_hf.training.recipes import parse_training, read_recipe


def make_trials(recipe, graph, **changes):
    arguments, training = parse_training(
        [str(recipe), "--graph", "animals", "--output_dir", str(recipe.parent / "out")]
    )
    values = {name: value for name, value in read_recipe(str(recipe)).items() if name != "search"}
    return Trials({**values, **changes}, graph, replace(arguments, quiet=True), training, seed=0)


def test_a_trial_trains_its_values_for_its_share_and_frees_its_memory(recipe, graph, monkeypatch):
    trials, made = make_trials(recipe, graph), []
    make = search_trials.make_trainer

    def remember(arguments, training, *rest):
        trainer = make(arguments, training, *rest)
        made.append((weakref.ref(trainer), weakref.ref(trainer.model), arguments, training))
        return trainer

    monkeypatch.setattr(search_trials, "make_trainer", remember)
    stages = []
    half = Budget(epochs=1.0, share=0.5)
    values = {"self_match_weight": 0.5, "num_neighbors": 2, "per_device_train_batch_size": 2}
    found = trials.run(values, half, lambda mrr, stage: stages.append((stage, mrr)) or False)
    _, _, arguments, training = made[0]
    assert (arguments.self_match_weight, arguments.num_neighbors) == (0.5, 2)
    assert (training.max_steps, training.warmup_steps) == (7, 1)  # 14 triplets in batches of 2
    assert [stage for stage, _ in stages] == [1, 2, 3]
    assert all(0 < mrr <= 1 for mrr in (found["mrr"], *(mrr for _, mrr in stages)))
    gc.collect()
    assert [made[0][0](), made[0][1]()] == [None, None]
    assert not (recipe.parent / "out").exists() or not list((recipe.parent / "out").iterdir())


def test_the_same_values_give_the_same_figures(recipe, graph):
    trials, whole = make_trials(recipe, graph), Budget(2.0, 1.0)
    one, same, other = (
        trials.run(values, whole, lambda mrr, stage: False)
        for values in ({}, {"learning_rate": 1e-3}, {"learning_rate": 0.05})
    )
    assert one == same != other


def test_a_hopeless_trial_ends_early_and_a_late_one_too(recipe, graph):
    trials, stages = make_trials(recipe, graph), []
    assert trials.run({}, Budget(2.0, 1.0), lambda mrr, stage: stages.append(stage) or stage == 2) is None
    assert stages == [1, 2]
    with pytest.raises(search_trials.OutOfTimeError):
        trials.run({}, Budget(2.0, 1.0), lambda mrr, stage: False, deadline=0.0)


def test_the_plan_is_the_recipe_or_what_time_allows(recipe, graph):
    trials = make_trials(recipe, graph, max_steps=400)
    trials.training.max_steps = 400
    assert trials.plan(3600.0) == Budget(100.0, 1.0)  # four steps an epoch
    short = trials.plan(1e-3)
    assert short == Budget(2.5, 0.025)  # the fewest steps, 10


def test_the_measure_is_the_filtered_mrr_among_the_candidates(dense_graph):
    splits = {name: (split.triplets, None) for name, split in dense_graph.splits.items()}
    graph = KnowledgeGraph(dense_graph.entities, dense_graph.relations, {**splits, "validation": splits["test"]})
    ranked = sample_ranking(graph, num_triplets=3, num_others=1, seed=5)
    entities = ranked.graph.candidates[0].tolist()
    assert len(ranked) == 3
    assert len(entities) < graph.num_entities
    assert set(ranked.triplets[:, [0, 2]].ravel().tolist()) <= set(entities)
    for architecture in ("cross-encoder", "bi-encoder"):
        model = make_model(architecture=architecture)
        processor = make_processor(graph, architecture=architecture)
        known = {tuple(row) for split in graph.splits.values() for row in split.triplets.tolist()}
        reciprocal = []
        for triplet in ranked.triplets.tolist():
            for slot in (0, 2):
                rows = [[*triplet[:slot], entity, *triplet[slot + 1 :]] for entity in entities]
                rows = [row for row in rows if tuple(row) not in known or row == triplet]
                scores = search_trials.TripletScorer(model, processor.token_store()).score(np.array(rows), slot)
                target = scores[rows.index(triplet)]
                higher, equal = (scores > target).sum(), (scores == target).sum()
                reciprocal.append(1 / (higher + (1 + equal) / 2))
        assert measure(model, processor, ranked)["mrr"] == pytest.approx(np.mean(reciprocal))


def test_negatives_are_mined_once_for_all_trials(of_reranker, graph, monkeypatch):
    trials, mined = make_trials(of_reranker, graph), []
    mine = search_trials.mine_negatives
    monkeypatch.setattr(search_trials, "mine_negatives", lambda *given: mined.append(given) or mine(*given))
    for values in ({}, {"learning_rate": 1e-4}, {"mining_depth": 5}, {"mining_depth": 5, "weight_decay": 0.1}):
        assert 0 < trials.run(values, Budget(0.1, 1.0), lambda mrr, stage: False)["mrr"] <= 1
    assert [arguments.mining_depth for arguments, _ in mined] == [4, 5]

"""Chances of suggestions: their features, fits on links that are drawn by known chances, and files."""

import json
import sys

import numpy as np
import pytest
from helpers.suggested import STANDINGS, draw_facts, draw_suggestions, make_graph, true_chances

from lass_hf.completion import probabilities
from lass_hf.completion.link_features import LinkFeatures
from lass_hf.completion.probabilities import LinkCalibration, find_lack_of_links, fit_link_calibration
from lass_hf.core.errors import LassError
from lass_hf.evaluation.platt_scaling import PlattScaling, reliability_curve
from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_mining import find_rules
from lass_hf.structure.rule_scores import RuleScorer


def draw_case(count, seed=1, shift=0.0):
    """Suggestions, standings, the graph that holds the drawn links out, and the features."""
    suggestions, standings = draw_suggestions(count, seed)
    is_link = np.random.default_rng(seed + 50).random(count) < true_chances(suggestions, standings, shift)
    graph = make_graph(draw_facts(300, suggestions), validation=suggestions.triplets[is_link])
    return suggestions, standings, graph, LinkFeatures(Facts.from_graph(graph), None, STANDINGS)


def fit(features, suggestions, standings, graph, canonical=lambda triplets: triplets):
    return fit_link_calibration(features, suggestions, standings, graph, canonical)


@pytest.fixture(scope="module")
def case():
    return draw_case(4000)


@pytest.fixture(scope="module")
def calibration(case):
    suggestions, standings, graph, features = case
    fitted, lack = fit(features, suggestions, standings, graph)
    assert lack is None
    return fitted


# Features


def test_features_are_those_of_a_plain_loop(case):
    suggestions, standings, graph, _ = case
    facts = Facts.from_graph(graph)
    rules = RuleScorer(find_rules(facts), facts)
    chosen = suggestions.select(np.arange(60))
    features = LinkFeatures(facts, rules, STANDINGS)(chosen, standings[:60])
    known = [tuple(row) for row in facts.triplets.tolist()]
    evidence = rules.triplet_scores(chosen.triplets)
    for row, (head, relation, tail) in enumerate(chosen.triplets.tolist()):
        expected = {
            "log frequency of the head in its slot": np.log1p(sum(h == head and r == relation for h, r, _ in known)),
            "log frequency of the tail in its slot": np.log1p(sum(t == tail and r == relation for _, r, t in known)),
            "log number of known answers for the head": np.log1p(sum((r, t) == (relation, tail) for _, r, t in known)),
            "log number of known answers for the tail": np.log1p(sum((h, r) == (head, relation) for h, r, _ in known)),
            "log degree of the head": np.log1p(sum((h == head) + (t == head) for h, _, t in known)),
            "log degree of the tail": np.log1p(sum((h == tail) + (t == tail) for h, _, t in known)),
            "best log probability": np.nanmax(chosen.log_probabilities[row]),
            "log evidence of rules": np.log1p(evidence[row]),
            "a rule fires": evidence[row] > 0,
            "standing: implied": standings[row] == 1,
            "standing: sibling": standings[row] == 2,
        }
        for side, name in enumerate(("head", "tail")):
            is_missing = chosen.ranks[row, side] == 0
            expected |= {
                f"log probability of the {name}": chosen.log_probabilities[row, side],
                f"log rank of the {name}": np.nan if is_missing else np.log(chosen.ranks[row, side]),
                f"margin of the {name}": chosen.margins[row, side],
                f"{name} not among the answers": is_missing,
            }
        assert {name: values[row] for name, values in features.items()} == pytest.approx(expected, nan_ok=True)


# The fit


def test_chances_hold_for_suggestions_that_the_fit_has_not_seen(calibration, case):
    suggestions, standings = draw_suggestions(4000, seed=9)
    chances = calibration(case[3], suggestions, standings)
    truth = true_chances(suggestions, standings)
    drawn = np.random.default_rng(3).random(4000) < truth
    assert reliability_curve(chances, drawn).ece < 0.03
    assert np.abs(chances - truth).mean() < 0.03
    assert np.corrcoef(chances, truth)[0, 1] > 0.95


def test_the_report_counts_what_was_fitted(calibration, case):
    suggestions, _, graph, _ = case
    report = calibration.report
    found = graph.index_splits("validation").contains(suggestions.triplets)
    assert (report["num_links"], report["num_found"], report["num_suggestions"]) == (found.sum(), found.sum(), 4000)
    assert sum(report["reliability"]["counts"]) == 4000
    by_relation = {row["relation"]: row for row in report["by_relation"]}
    for relation in range(4):
        own = suggestions.triplets[:, 1] == relation
        row = by_relation[f"r{relation}"]
        assert (row["num_suggestions"], row["num_found"]) == (own.sum(), found[own].sum())
        assert row["observed"] == pytest.approx(found[own].mean())
        assert row["claimed"] == pytest.approx(row["observed"], abs=0.02)


def test_the_reliability_of_noise_is_that_of_chance():
    suggestions, standings = draw_suggestions(1500, seed=4)
    is_link = np.random.default_rng(8).random(1500) < 0.2
    graph = make_graph(draw_facts(300, suggestions), validation=suggestions.triplets[is_link])
    fitted, _ = fit(LinkFeatures(Facts.from_graph(graph), None, STANDINGS), suggestions, standings, graph)
    chances = fitted(LinkFeatures(Facts.from_graph(graph), None, STANDINGS), *draw_suggestions(1500, seed=5))
    assert fitted.report["reliability"]["ece"] < 0.05  # measured on its own fit, isotonic regression would show 0
    assert fitted.report["reliability"]["ece"] > 0
    assert np.abs(chances - 0.2).mean() < 0.06


def test_a_fit_is_the_same_when_it_is_made_again(calibration, case):
    suggestions, standings, graph, features = case
    again, _ = fit(features, suggestions, standings, graph)
    assert again.to_dict() == calibration.to_dict()


def test_a_rare_relation_stays_near_the_common_one():
    suggestions, standings = draw_suggestions(2000, seed=6)
    suggestions.triplets[:, 1] = np.where(suggestions.triplets[:, 1] == 3, 0, suggestions.triplets[:, 1])
    suggestions.triplets[:4, 1] = 3
    is_link = np.random.default_rng(1).random(2000) < 0.1
    is_link[:4] = True  # all four of the rare relation: alone they would have a chance of 1
    graph = make_graph(draw_facts(300, suggestions), validation=suggestions.triplets[is_link])
    features = LinkFeatures(Facts.from_graph(graph), None, STANDINGS)
    fitted, _ = fit(features, suggestions, standings, graph)
    assert 0.5 < fitted.of_relations[3] < 4
    assert fitted(features, suggestions, standings)[:4].max() < 0.9


def test_links_of_the_test_split_count_neither_way(case):
    suggestions, standings, graph, features = case
    is_test = ~graph.index_splits("validation").contains(suggestions.triplets) & (np.arange(4000) % 3 == 0)
    validation = graph["validation"].triplets
    with_test = make_graph(graph["train"].triplets, validation=validation, test=suggestions.triplets[is_test])
    whole, _ = fit(features, suggestions, standings, with_test)
    rest, _ = fit(features, suggestions.select(~is_test), standings[~is_test], graph)
    assert whole.to_dict() == rest.to_dict()


def test_what_states_the_fact_of_a_held_out_link_is_as_good_as_the_link(case):
    suggestions, standings, graph, features = case
    turned = suggestions.triplets[:, ::-1]
    is_symmetric = suggestions.triplets[:, 1] == 0
    mirrored = graph["validation"].triplets.copy()
    mirrored[mirrored[:, 1] == 0] = mirrored[mirrored[:, 1] == 0, ::-1]
    of_mirrors = make_graph(graph["train"].triplets, validation=mirrored)

    def canonical(triplets):
        return np.where(
            (triplets[:, 1] == 0)[:, None] & (triplets[:, :1] > triplets[:, 2:]), triplets[:, ::-1], triplets
        )

    own, other = (fit(features, suggestions, standings, one, canonical)[0] for one in (graph, of_mirrors))
    assert own.to_dict() == other.to_dict()
    index = graph.index_splits("validation")
    is_fact = index.contains(suggestions.triplets) | (is_symmetric & index.contains(turned))
    assert own.report["num_found"] == len(np.unique(canonical(suggestions.triplets[is_fact]), axis=0))


def test_a_sample_of_the_other_suggestions_stands_for_all(monkeypatch, case, calibration):
    suggestions, standings, graph, features = case
    monkeypatch.setattr(probabilities, "MOST_FITTED", 2200)
    sampled, _ = fit(features, suggestions, standings, graph)
    assert sampled.report["num_suggestions"] == 4000
    assert sum(sampled.report["reliability"]["counts"]) == pytest.approx(4000, abs=5)
    both = [fitted(features, suggestions, standings) for fitted in (sampled, calibration)]
    assert np.abs(both[0] - both[1]).mean() < 0.02
    assert both[0].mean() == pytest.approx(both[1].mean(), abs=0.01)


def test_few_links_are_scaled_by_platt():
    suggestions, standings, graph, features = draw_case(1500, seed=7, shift=-2.2)
    assert 10 < len(graph["validation"]) < 100
    fitted, _ = fit(features, suggestions, standings, graph)
    assert isinstance(fitted.scaling, PlattScaling)
    assert fitted(features, suggestions, standings).sum() == pytest.approx(len(graph["validation"]), rel=0.25)


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_links_give_no_chances_and_a_reason(case, count):
    suggestions, standings, graph, features = case
    fewer = make_graph(graph["train"].triplets, validation=[*suggestions.triplets[:count].tolist(), [199, 3, 199]])
    fitted, lack = fit(features, suggestions, standings, fewer)
    assert fitted is None
    assert f"{count} of the {count + 1} facts that the validation split states are among 4,000 suggestions" in lack


def test_a_graph_without_validation_gives_no_chances_and_a_reason(case):
    suggestions, standings, graph, features = case
    bare = make_graph(graph["train"].triplets)
    fitted, lack = fit(features, suggestions, standings, bare)
    assert fitted is None
    assert lack == find_lack_of_links(bare)
    assert "no validation split); train with some held out (lass-hf train --validation 10%)" in lack
    assert find_lack_of_links(graph) is None


def test_no_suggestions_give_no_chances(case):
    suggestions, standings, graph, features = case
    fitted, lack = fit(features, suggestions.select(np.arange(0)), standings[:0], graph)
    assert fitted is None
    assert "among 0 suggestions" in lack


# Files, and one suggestion alone


def test_one_suggestion_alone_has_the_chance_that_it_has_in_a_list(monkeypatch, calibration, case):
    suggestions, standings, _, features = case
    listed = calibration(features, suggestions, standings)
    alone = [calibration(features, suggestions.select(np.array([n])), standings[[n]])[0] for n in range(0, 4000, 97)]
    assert alone == listed[::97].tolist()
    monkeypatch.setattr(probabilities, "CHUNK", 7)
    some = suggestions.select(np.arange(100))
    assert calibration(features, some, standings[:100]).tolist() == listed[:100].tolist()


@pytest.mark.parametrize("platt", [False, True])
def test_a_saved_calibration_gives_the_same_chances_without_scikit_learn(monkeypatch, case, platt):
    suggestions, standings, graph, features = case
    if platt:
        monkeypatch.setattr(probabilities, "LEAST_FOR_ISOTONIC", 10_000)
    fitted, _ = fit(features, suggestions, standings, graph)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    content = json.loads(json.dumps(fitted.to_dict()))
    read = LinkCalibration.from_dict(content, graph.relations.ids, "completion.json")
    expected = fitted(features, suggestions, standings)
    assert read(features, suggestions, standings).tolist() == expected.tolist()
    assert read.to_dict() == fitted.to_dict()


def test_relations_are_found_by_their_ids(calibration):
    read = LinkCalibration.from_dict(calibration.to_dict(), ["r2", "other", "r0"], "completion.json")
    assert read.of_relations.tolist() == [calibration.of_relations[2], 0, calibration.of_relations[0]]


def without(content, *path):
    """Returns a copy of JSON without the value at a path."""
    content = json.loads(json.dumps(content))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return content


@pytest.mark.parametrize("name", ["format", "weights", "intercept", "of_relations", "isotonic", "report"])
@pytest.mark.parametrize("value", [None, [], "x", float("nan"), {"r0": {"b": []}}])
def test_a_damaged_calibration_is_one_line(calibration, name, value):
    if (name, type(value)) == ("report", dict):
        return
    for content in (without(calibration.to_dict(), name), {**calibration.to_dict(), name: value}):
        with pytest.raises(
            LassError, match=r"^completion\.json: not the calibration of a completion \(.*complete again"
        ):
            LinkCalibration.from_dict(content, ["r0", "r1", "r2", "r3"], "completion.json")


def test_a_knot_out_of_order_is_refused(calibration):
    content = calibration.to_dict()
    content["isotonic"] = [one[::-1] for one in content["isotonic"]]
    with pytest.raises(LassError, match="do not ascend"):
        LinkCalibration.from_dict(content, ["r0"], "completion.json")


def test_rules_that_are_gone_are_told(case):
    suggestions, standings, graph, features = case
    facts = Facts.from_graph(graph)
    with_rules = LinkFeatures(facts, RuleScorer(find_rules(facts), facts), STANDINGS)
    fitted, _ = fit(with_rules, suggestions, standings, graph)
    with pytest.raises(LassError, match="'log evidence of rules', which is not there now"):
        fitted(features, suggestions, standings)

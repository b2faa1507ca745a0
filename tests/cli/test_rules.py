"""`lass-hf rules`: the file, what is printed, and bad input."""

import numpy as np
import pytest
from helpers.command_line import content_of, run
from helpers.tiny import TEST, write_graph

from lass_hf import load_benchmark
from lass_hf.cli.subcommands.rules import SHOWN_RELATIONS
from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_files import read_rules
from lass_hf.structure.rule_mining import find_rules


@pytest.fixture(scope="module")
def countries():
    """The package's own graph, and its rules."""
    graph = load_benchmark("countries")
    return graph, find_rules(Facts.from_graph(graph), seed=7)


def test_the_file_has_the_rules_that_are_found_and_the_best_are_printed(countries, tmp_path, capsys):
    graph, rules = countries
    more = ["--seed", 7, "--top", 2, "--json", tmp_path / "rules.json"]
    assert run("rules", "--graph", "countries", "--output", tmp_path / "out", *more) == 0
    file = tmp_path / "out" / "rules.tsv"
    written = read_rules(file, graph.entities, graph.relations)
    np.testing.assert_array_equal(written.bodies, rules.bodies)
    np.testing.assert_array_equal(written.confidences, rules.confidences)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{len(rules):,} rules, found in ")
    assert out[0].endswith(f" s: {file}")
    headings = [line for line in out if line.endswith(" rules") and "(" in line]
    assert len(headings) == SHOWN_RELATIONS
    of_borders = (rules.heads % graph.num_relations == graph.relations.index["shares_border_with"]).sum()
    place = out.index(f"has a border with (shares_border_with): {of_borders} rules")
    one, other = "X has a border with Y", "Y has a border with X"  # The rule for tails and that for heads are mirrors.
    assert out[place + 1][8:] in [f"{head} if {body}  (146 of 146)" for head, body in ((one, other), (other, one))]
    shown = [line for line in out[2:] if line.startswith("  ")]
    assert len({line.partition("  (")[0][8:] for line in shown}) == len(shown) <= 2 * SHOWN_RELATIONS
    assert out[-1] == f"and {len(rules) - len(shown):,} more rules, also of 2 more relations, in {file}"
    metrics = content_of(tmp_path / "rules.json")["metrics"]
    of_lengths = [metrics[f"rules_of_length_{length}"] for length in (1, 2, 3)]
    assert metrics["rules"] == len(rules) == sum(of_lengths) + metrics["rules_with_constants"]
    assert metrics["rules_with_constants"] == (rules.head_constants >= 0).sum() > 0
    assert metrics["relations"] == 12


def test_a_graph_without_rules_has_an_empty_file_and_quiet_prints_nothing(tmp_path, capsys):
    folder = write_graph(tmp_path / "graph", train=TEST)
    assert run("rules", "--graph", folder, "--output", tmp_path / "out", "--quiet") == 0
    assert len((tmp_path / "out" / "rules.tsv").read_text().splitlines()) == 1
    assert capsys.readouterr() == ("", "")
    assert run("rules", "--graph", folder, "--output", tmp_path / "again") == 0
    assert capsys.readouterr().out.startswith("0 rules, found in ")


def test_without_an_output_rules_are_only_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("rules", "--graph", "countries", "--top", 1) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith(" s")
    assert out[-1].endswith("; --output DIR writes all of them")
    assert not list(tmp_path.iterdir())


def test_bad_input_is_one_line_before_the_search(tmp_path, graph_folder, bad_input, monkeypatch):
    monkeypatch.setattr("lass_hf.structure.rule_mining.find_rules", lambda *_, **__: pytest.fail("it searched"))
    out = ["--output", tmp_path / "out"]
    (tmp_path / "file").write_text("")
    line = bad_input("rules", "--graph", graph_folder, "--output", tmp_path / "file" / "out")
    assert f"{tmp_path / 'file' / 'out' / 'rules.tsv'}: cannot be written" in line
    for option, value in (("--minutes", "0"), ("--minutes", "nan"), ("--top", "0"), ("--seed", "-1")):
        assert f"argument {option}: '{value}' is not" in bad_input(
            "rules", "--graph", graph_folder, *out, option, value
        )
    (tmp_path / "edited").mkdir()
    file = tmp_path / "edited" / "rules.tsv"
    file.write_text("mine")
    line = bad_input("rules", "--graph", graph_folder, "--output", tmp_path / "edited")
    assert line.endswith(f"{file} exists, and people may have edited it; delete it, or choose another --output")
    assert file.read_text() == "mine"
    folder = write_graph(tmp_path / "graph")
    (folder / "train.tsv").unlink()
    assert f"{folder}: no training triplets" in bad_input("rules", "--graph", folder, *out)
    assert not (tmp_path / "out").exists()

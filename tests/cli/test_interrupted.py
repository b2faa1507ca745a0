"""`lass-hf evaluate` that is interrupted goes on where it stopped."""

import itertools
import shutil
from pathlib import Path

import pytest
from helpers.command_line import content_of, run
from helpers.tiny import make_model

from lass_hf.core.architectures import CrossEncoder
from lass_hf.scoring.triplet_scorer import TripletScorer

# An evaluation that is interrupted, and its progress on disk


@pytest.fixture
def own_model(model_folder, tmp_path):
    """A copy of the model's folder, to leave progress in."""
    return shutil.copytree(model_folder, tmp_path / "own_model")


@pytest.fixture
def interrupt(monkeypatch):
    """Makes evaluations rank two queries at a time, lets each score `calls` times, and interrupts it then."""
    original = TripletScorer.score
    monkeypatch.setattr(CrossEncoder, "candidates_per_chunk", 20)

    def after(calls=10**9, seen=lambda: None):
        count = itertools.count()

        def score(self, *arguments, **choices):
            seen()
            if next(count) == calls:
                raise KeyboardInterrupt
            return original(self, *arguments, **choices)

        monkeypatch.setattr(TripletScorer, "score", score)
        return count

    return after


@pytest.fixture
def places(own_model, tmp_path):
    """--json or not, and a pattern for where the progress then lies."""
    file = tmp_path / "results" / "evaluate.json"
    return {
        "json": (["--json", file], Path(f"{file}.progress")),
        "model": ([], own_model / "link_prediction-test.progress"),
    }


@pytest.mark.parametrize("place", ["json", "model"])
def test_evaluation_keeps_its_progress_from_the_first_ranks_until_it_ends(
    place, own_model, graph_folder, places, interrupt
):
    flags, folder = places[place]
    seen = []
    interrupt(seen=lambda: seen.append([name for name, (_, other) in places.items() if other.is_dir()]))
    assert run("evaluate", "--model", own_model, "--graph", graph_folder, "--quiet", *flags) == 0
    assert seen == [[], [place], [place]]  # one query for heads, three for tails, two at a time
    assert not folder.exists()


@pytest.mark.parametrize("place", ["json", "model"])
def test_interrupted_evaluation_continues_with_the_same_ranks(
    place, own_model, graph_folder, places, interrupt, tmp_path, capsys
):
    flags, folder = places[place]
    folder = folder.with_name(folder.name.replace("link_prediction-test", "link_prediction-train"))
    command = ["evaluate", "--model", own_model, "--graph", graph_folder, "--split", "train"]
    whole = interrupt()
    assert run(*command, "--json", tmp_path / "whole.json") == 0
    assert "continuing" not in capsys.readouterr().err
    chunks = next(whole)
    for finished in (3, 4):  # interrupted twice, first in the heads and then in the tails
        interrupt(finished)
        assert run(*command, *flags) == 130
        assert folder.is_dir()
        chunks -= finished
    capsys.readouterr()
    rest = interrupt()
    assert run(*command, *flags) == 0
    captured = capsys.readouterr()
    assert f"chunks of work are done in {folder}" in captured.err
    assert next(rest) == chunks > 0
    assert not folder.exists()
    expected = content_of(tmp_path / "whole.json")
    assert f"{expected['metrics']['mrr']:.4f}" in captured.out
    if place == "json":
        found = content_of(flags[1])
        assert found | {"seconds": 0} == expected | {"seconds": 0}


@pytest.mark.parametrize("place", ["json", "model"])
def test_progress_of_another_evaluation_is_refused_and_kept(
    place, own_model, graph_folder, places, interrupt, bad_input
):
    flags, folder = places[place]
    command = ["evaluate", "--model", own_model, "--graph", graph_folder, *flags]
    interrupt(2)
    assert run(*command, "--quiet") == 130
    interrupt()
    kept = (folder / "process-0.jsonl").read_bytes()
    assert kept.count(b"\n") == 3
    assert "limit was None, now 2" in bad_input(*command, "--limit", "2")
    make_model(seed=1).save_pretrained(own_model)
    line = bad_input(*command)
    assert f"delete {folder}" in line
    assert "the model is another one" in line
    assert (folder / "process-0.jsonl").read_bytes() == kept

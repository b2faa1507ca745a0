"""Finished steps on disk: what was kept comes back, and what a kill or damage left of a file is done again."""

import numpy as np
import pytest
from helpers.kills import Kills
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.scoring.step_progress import StepProgress

IDENTITY = {"graph": "a1", "folds": 2}
STEPS = {"texts": {"texts": np.arange(6, dtype=np.float32).reshape(2, 3)}, "fold-0": {"best": np.array([3, -1])}}


def work(folder, identity=IDENTITY):
    """Runs all steps; returns their arrays and the names of those that were done now."""
    done, progress = [], StepProgress(folder, identity, "audit")

    def step(name):
        done.append(name)
        return STEPS[name]

    return {name: progress.run(name, lambda name=name: step(name)) for name in STEPS}, done


def assert_whole(found):
    for name, arrays in STEPS.items():
        assert found[name].keys() == arrays.keys()
        for key, array in arrays.items():
            assert found[name][key].dtype == array.dtype
            np.testing.assert_array_equal(found[name][key], array)


def test_no_step_is_done_twice(tmp_path):
    for expected in (list(STEPS), []):
        found, done = work(tmp_path / "progress")
        assert_whole(found)
        assert done == expected
    StepProgress(tmp_path / "progress", IDENTITY).remove()
    assert not (tmp_path / "progress").exists()


def test_without_a_folder_nothing_is_kept(tmp_path):
    assert work(None)[1] == work(None)[1] == list(STEPS)


def test_a_kill_at_any_file_operation_leaves_whole_steps_or_none(tmp_path):
    kills = Kills(tmp_path / "progress", lambda: work(tmp_path / "progress"), tmp_path / "states")
    assert len(kills.states) > 3
    for state in kills.states:
        assert_whole(work(state)[0])
        StepProgress(state, IDENTITY).remove()
        assert not state.exists()


def test_a_damaged_file_is_no_finished_step(tmp_path):
    work(tmp_path)
    file = tmp_path / "texts.npz"
    whole = file.read_bytes()
    for place in range(0, len(whole), 29):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        assert_whole(work(tmp_path)[0])
        file.write_bytes(whole[:place])
        assert_whole(work(tmp_path)[0])


def test_steps_of_other_work_are_refused(tmp_path):
    work(tmp_path)
    with pytest.raises(LassError) as error:
        work(tmp_path, {**IDENTITY, "folds": 3})
    one_line(error, "texts.npz: the progress of another audit (folds was 2, now 3)", "delete", "--output")

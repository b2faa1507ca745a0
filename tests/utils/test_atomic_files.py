"""Files that several processes write: whole or not there, nothing lost of what each adds."""

import errno
import inspect
import json
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from helpers.tiny import make_model

from lass_hf.evaluation.calibration import Calibration, keep_calibration
from lass_hf.evaluation.platt_scaling import PlattScaling
from lass_hf.hub import card_files as card_folder
from lass_hf.hub.card_files import CARD_DATA_FILE, add_evaluation, read_card_data, write_card
from lass_hf.utils import atomic_files as whole_files
from lass_hf.utils.atomic_files import locked, write_whole
from lass_hf.utils.result_files import read_results, write_results

MANY = 40


def at_once(count, work):
    """Calls work(0), work(1), ... in threads that all begin together."""
    together = Barrier(count)

    def begin(number):
        together.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


@pytest.mark.parametrize("content", ["é\r\nb\n", b"\xff\x00"])
def test_a_file_has_what_was_given_and_the_rights_of_any_new_file(content, tmp_path):
    file = tmp_path / "a.json"
    file.write_text("before")
    write_whole(str(file), content)
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    (tmp_path / "other").touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_file_keeps_its_permissions(tmp_path):
    file = tmp_path / "a.json"
    file.touch()
    for mode in (0o600, 0o664):
        file.chmod(mode)
        write_whole(file, "after")
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize("before", ["before", None])
def test_the_target_of_a_link_is_replaced_and_the_link_stays(before, tmp_path):
    target, link, chain = tmp_path / "folder" / "target", tmp_path / "link", tmp_path / "chain"
    target.parent.mkdir()
    if before:
        target.write_text(before)
    link.symlink_to(Path("folder", "target"))
    chain.symlink_to(link)
    write_whole(chain, "after")
    assert chain.is_symlink()
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_hard_link_to_the_earlier_content_keeps_it(tmp_path):
    (tmp_path / "a").write_text("before")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    write_whole(tmp_path / "a", "after")
    assert [(tmp_path / name).read_text() for name in "ab"] == ["after", "before"]


def test_a_device_stays_a_device():
    before = os.stat(os.devnull)
    write_whole(os.devnull, "after")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert os.path.samestat(before, os.stat(os.devnull))


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_text)
        write_whole(pipe, "after" * MANY)
        assert read.result(60) == "after" * MANY
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_standard_output_goes_on_behind_what_was_written_to_it(tmp_path):
    """In a process of its own, which knows it by three names; the shell has opened the file."""
    code = (
        "import runpy, sys\n"
        "write_whole = runpy.run_path(sys.argv[1])['write_whole']\n"
        "print('first')\n"
        "for name in ('/dev/stdout', '/dev/fd/1', sys.argv[2]): write_whole(name, name + '\\n')\n"
        "print('last')"
    )
    file = tmp_path / "out"
    with file.open("w") as out:
        subprocess.run(
            [sys.executable, "-c", code, whole_files.__file__, str(file)], stdout=out, check=True, timeout=60
        )
    assert file.read_text().splitlines() == ["first", "/dev/stdout", "/dev/fd/1", str(file), "last"]


def test_what_killed_writes_left_is_swept_by_the_next_write_of_that_file(tmp_path):
    names = [f"{name}.{age * 16}.tmp" for name in ("a[1].json", "a1.json") for age in ("0d", "ff")]  # old and young
    names += ["a[1].json.notes.tmp", "a[1].json.0123.tmp"]
    for name in names:
        (tmp_path / name).touch()
        if "ffff" not in name:
            os.utime(tmp_path / name, (0, time.time() - whole_files.STALE_SECONDS - 60))
    write_whole(tmp_path / "a[1].json", "after")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].json", *names[1:]}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(call, tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("before")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left") as error:
        write_whole(tmp_path / "a.json", "after")
    assert error.value.filename == str(tmp_path / "a.json")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "before")]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        write_whole(tmp_path / "results.json", b"")
    assert error.value.filename == str(tmp_path / "results.json")
    with pytest.raises(FileNotFoundError) as error:
        write_whole(tmp_path / "absent" / "results.json", b"")
    assert error.value.filename == str(tmp_path / "absent" / "results.json")


def test_writers_of_one_file_do_not_take_each_others_temporary_file(tmp_path):
    file = tmp_path / "a.json"

    def write(number):
        for _ in range(MANY):
            write_results(file, {"number": number}, padding="x" * 20_000)
            assert read_results(file)["metrics"]["number"] in range(4)

    at_once(4, write)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def count_up(file):
    for _ in range(MANY):
        with locked(file.parent):
            write_whole(file, str(int(file.read_text()) + 1))


# Counts up with that one module, which needs no other of the package: importing all of them takes seconds.
COUNT_UP = f"""
import pathlib, runpy, sys
MANY = {MANY}
module = runpy.run_path(sys.argv[1])
locked, write_whole = module["locked"], module["write_whole"]
{inspect.getsource(count_up)}
print("ready", flush=True)
sys.stdin.readline()
count_up(pathlib.Path(sys.argv[2]))
"""


def test_processes_and_threads_wait_for_each_other(tmp_path):
    file = tmp_path / "count"
    file.write_text("0")
    command = [sys.executable, "-c", COUNT_UP, whole_files.__file__, str(file)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    at_once(2, lambda number: count_up(file))
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert int(file.read_text()) == 4 * MANY


def test_a_lock_is_given_back_after_an_error_and_leaves_no_file(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path):
            raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_evaluations_that_are_added_at_once_are_all_in_the_card(tmp_path, monkeypatch):
    make_model().save_pretrained(tmp_path)
    monkeypatch.setattr(card_folder, "_render_card", lambda *_: "")  # the text has tests of its own
    write_card(tmp_path, {"evaluations": []}, None)
    new = {"task": "link prediction", "split": "test", "triplets": 1, "metrics": {}}
    at_once(8, lambda number: add_evaluation(tmp_path, {**new, "graph": f"graph {number}"}, None))
    evaluations = read_card_data(tmp_path)["evaluations"]
    assert {evaluation["graph"] for evaluation in evaluations} == {f"graph {number}" for number in range(8)}
    assert json.loads((tmp_path / CARD_DATA_FILE).read_text())["metadata"] == {}
    assert not list(tmp_path.glob("*.tmp"))


def test_calibrations_that_are_kept_at_once_leave_a_whole_configuration(tmp_path):
    make_model().save_pretrained(tmp_path)
    before = json.loads((tmp_path / "config.json").read_text())
    at_once(8, lambda number: keep_calibration(tmp_path, Calibration(float(number), PlattScaling(1.0, 0.0))))
    after = json.loads((tmp_path / "config.json").read_text())
    assert after.pop("calibration")["threshold"] in range(8)
    assert after == {name: value for name, value in before.items() if name != "calibration"}
    assert not list(tmp_path.glob("*.tmp"))

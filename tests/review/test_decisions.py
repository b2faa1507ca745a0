"""The file of decisions: shared by processes, whole after a kill and on a full disk, an error for each bad line."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from helpers.properties import for_all
from helpers.reviews import decision
from helpers.tiny import one_line
from hypothesis import strategies as st

from lass_hf.core.errors import LassError
from lass_hf.review import decisions as module
from lass_hf.review.decisions import DecisionsFile
from lass_hf.review.outcomes import OUTCOMES, Outcomes

WRITER = """
import sys
from lass_hf.review.decisions import Decision, DecisionsFile
file, name = DecisionsFile(sys.argv[1]), sys.argv[2]
for number in range(int(sys.argv[3])):
    file.append(Decision("h" * 3000, "r", f"t{number}", "accept", name, "now"))
    print(number, flush=True)
"""


def decided(file):
    return [one for _, one in file.read_new()]


def test_each_reader_sees_what_others_wrote_once(tmp_path):
    one, other = DecisionsFile(tmp_path), DecisionsFile(tmp_path)
    assert decided(one) == []
    one.append(decision(0))
    other.append(decision(1, "reject", "Bob É", settles=True))
    assert one.read_new() == [(1, decision(0)), (2, decision(1, "reject", "Bob É", settles=True))]
    assert one.read_new() == []
    one.append(decision(0, "undo"))
    assert one.read_new() == [(3, decision(0, "undo"))]
    assert len(decided(other)) == len(decided(DecisionsFile(tmp_path))) == 3


def test_what_was_confirmed_is_there_after_a_kill_beside_another_process(tmp_path):
    def start(name, count):
        command = [sys.executable, "-c", WRITER, str(tmp_path), name, str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed, other = start("killed", 100_000), start("other", 40)
    for _ in range(25):
        killed.stdout.readline()
    killed.kill()
    confirmed = 25 + len(killed.stdout.readlines())
    assert len(other.stdout.readlines()) == 40
    assert (killed.wait(), other.wait()) == (-9, 0)
    for process in (killed, other):
        process.stdout.close()
    found = decided(DecisionsFile(tmp_path))
    of_killed = [one.tail for one in found if one.reviewer == "killed"]
    assert of_killed == [f"t{number}" for number in range(len(of_killed))]
    assert confirmed <= len(of_killed) <= confirmed + 1
    assert [one.tail for one in found if one.reviewer == "other"] == [f"t{number}" for number in range(40)]


@pytest.mark.parametrize("at_start", [True, False])
def test_a_last_line_that_was_cut_off_is_dropped_with_a_note(at_start, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "READ_BYTES", 50)
    file = DecisionsFile(tmp_path)
    for row in (0, 1):
        file.append(decision(row))
    whole = file.path.read_bytes()
    first = whole.index(b"\n") + 1
    for size in (first + 1, first + 60, len(whole) - 2):
        caplog.clear()
        file.path.write_bytes(whole)
        reader = DecisionsFile(tmp_path)
        file.path.write_bytes(whole[:size])
        if at_start:
            reader = DecisionsFile(tmp_path)
            assert file.path.read_bytes() == whole[:first]
        assert decided(reader) == [decision(0)]
        reader.append(decision(2))
        assert decided(reader) == [decision(2)]
        assert decided(DecisionsFile(tmp_path)) == [decision(0), decision(2)]
        one_line_of_log(caplog, "decisions.jsonl: its last line was cut off")


def one_line_of_log(caplog, words):
    (message,) = caplog.messages
    assert words in message


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path, caplog):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    assert decided(DecisionsFile(tmp_path)) == [decision(0)]
    assert not caplog.messages


def test_a_full_disk_is_one_error_and_keeps_what_is_there(tmp_path, monkeypatch):
    file, write = DecisionsFile(tmp_path), os.write
    file.append(decision(0))
    before = file.path.read_bytes()
    monkeypatch.setattr(module.os, "write", lambda handle, line: write(handle, line[:20]))
    with pytest.raises(OSError, match="No space left") as error:
        file.append(decision(1))
    assert error.value.filename == str(file.path)
    assert file.path.read_bytes() == before
    monkeypatch.setattr(module.os, "write", write)
    file.append(decision(2))
    assert decided(file) == [decision(0), decision(2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "Expecting"),
        (b"\xff{}", "decode"),
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "recursion"),
        ({"decision": "maybe"}, "'maybe'; expected one of accept"),
        ({"reviewer": ""}, "reviewer ''"),
        ({"reviewer": "a\x1bb"}, "expected a name"),
        ({"tail": 3}, "no tail of type str"),
        ({"settles": "yes"}, "no settles of type bool"),
        ({"time": None}, "no time of type str"),
    ],
)
def test_a_damaged_line_is_named(line, reason, tmp_path):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    if isinstance(line, dict):
        line = json.dumps(asdict(decision(1)) | line).encode()
    with file.path.open("ab") as handle:
        handle.write(b"\n" + line + b"\n")  # an empty line is none
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "decisions.jsonl, line 3: not a decision", reason, "correct the line or remove it")


def test_a_line_without_a_key_is_named(tmp_path):
    file = DecisionsFile(tmp_path)
    file.path.write_text('{"head": "a"}\n')
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "line 1: not a decision (no relation of type str)")


def test_lines_that_are_gone_are_an_error(tmp_path):
    file = DecisionsFile(tmp_path)
    file.append(decision(0))
    file.read_new()
    file.path.unlink()
    with pytest.raises(LassError) as error:
        file.read_new()
    one_line(error, "decisions.jsonl: lines that were read are gone")


def test_no_reader_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "decisions.jsonl")
    with pytest.raises(LassError, match="no regular file"):
        DecisionsFile(tmp_path)


def test_outcomes_against_a_reading_of_the_whole_history(request):
    steps = st.tuples(
        st.integers(0, 1),
        st.sampled_from(["accept", "reject", "unsure", "undo"]),
        st.sampled_from("ABC"),
        st.booleans(),
    )

    def check(history):
        outcomes = Outcomes(3)
        for row, what, reviewer, settles in history:
            outcomes.add(row, decision(row, what, reviewer, settles=settles))
        for row in (0, 1, 2):
            about = [one for one in history if one[0] == row]
            last = {reviewer: what for _, what, reviewer, _ in about}
            last = {reviewer: what for reviewer, what in last.items() if what != "undo"}
            people = set(last)
            if about and about[-1][3] and about[-1][1] != "undo":
                people = {about[-1][2]}  # who settled it
            said = {last[reviewer] for reviewer in people} - {"unsure"}
            expected = {0: "unsure" if people else "open", 2: "contradiction"}.get(len(said)) or f"{min(said)}ed"
            assert OUTCOMES[outcomes.codes[row]] == expected
            if len(said) == 1:
                people = {reviewer for reviewer in people if last[reviewer] in said}
            assert outcomes.reviewers(row) == sorted(people)
            assert outcomes.votes.get(row, {}) == last
        for reviewer in "ABC":
            rows = [row for row, _, who, _ in history if who == reviewer]
            order = [row for at, row in enumerate(rows) if row not in rows[at + 1 :]]
            assert list(outcomes.rows_of[reviewer]) == [row for row in order if reviewer in outcomes.votes[row]]
        return len(history)

    for_all(request, 60, history=st.lists(steps, max_size=12))(check)

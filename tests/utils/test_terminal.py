"""What a terminal is sent: no control characters, nothing that its encoding lacks; an output that ends ends nothing."""

import errno
import io
import os
import subprocess
import sys

import pytest
from tqdm import tqdm

from lass_hf.utils.console import run_program
from lass_hf.utils.terminal import SafeStream, one_line

ORDINARY = (
    "ch\u00e9ese \u65e5\u672c \U0001f642 \U0001f469\u200d\U0001f52c e\u0301 \u0928\u092e \u200f\u05e9\u05dc\u200e "
    "\u0645\u06cc\u200c\u062e \xa0"
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m\x85\x7f", r"\x9b31m\x85\x7f"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202egnp.\u202c \u2066x\u2069", r"\u202egnp.\u202c \u2066x\u2069"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        (ORDINARY, ORDINARY),
        (r"a\x1b", r"a\x1b"),
    ],
)
def test_a_line_shows_control_characters_and_obeys_none(name, shown):
    assert one_line(name) == shown
    assert one_line(shown) == shown


def test_every_control_character_of_unicode_is_shown():
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
    assert all(one_line(control).isprintable() and one_line(control) != control for control in controls)


def test_output_keeps_lines_and_progress_bars_and_escapes_the_rest():
    out = io.StringIO()
    stream = SafeStream(out)
    print("a\tb\x1b[31m", ORDINARY, file=stream)
    stream.writelines(["c\x07\n"])
    assert out.getvalue() == f"a\tb\\x1b[31m {ORDINARY}\nc\\x07\n"


def test_two_progress_bars_find_their_lines_and_their_names_do_not():
    out = io.StringIO()
    stream = SafeStream(out)
    with tqdm(total=1, file=stream), tqdm(total=1, file=stream, position=1, desc="name\x1b[A") as bar:
        bar.update(1)
    assert "\x1b[A" in out.getvalue()
    assert "name\\x1b[A:" in out.getvalue()
    assert "name\x1b" not in out.getvalue()


def file_like(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("cp1252", b"caf\xe9 \\u65e5\n"), ("ascii", b"caf\\xe9 \\u65e5\n"), ("utf-8", "café 日\n".encode())],
)
def test_characters_that_an_encoding_lacks_are_written_as_escapes(encoding, shown):
    out = file_like(encoding)
    stream = SafeStream(out)
    print("café 日", file=stream)
    stream.flush()
    assert out.buffer.getvalue() == shown


def test_a_lone_surrogate_is_shown():
    out = file_like("utf-8")
    stream = SafeStream(out)
    print("a\udc80", file=stream)
    stream.flush()
    assert out.buffer.getvalue() == b"a\\udc80\n"


@pytest.fixture
def closed_pipe():
    """Standard output, through a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        yield stream


def test_the_work_goes_on_when_nobody_reads_its_output(closed_pipe, monkeypatch, capfd):
    done = []

    def work():
        for line in range(3):
            print("x" * 10_000, line, flush=True)
            tqdm.write(str(line))  # as the Trainer writes its logs
        done.append(True)

    monkeypatch.setattr(sys, "stdout", closed_pipe)
    assert run_program("program", work) == 0
    assert done == [True]
    closed_pipe.close()  # Python's own flush at its end, which raises nothing
    assert capfd.readouterr().err == ""


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_under_the_output_is_told_after_the_work(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(sys, "stdout", Full())
    assert run_program("program", lambda: done.append(print("a")) or print("b")) == 2
    assert done == [None]
    assert capsys.readouterr().err == (
        "program: error: standard output: No space left on device; what was to be printed is lost\n"
    )


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_program_without_a_standard_stream_runs(name, monkeypatch):
    monkeypatch.setattr(sys, name, None)
    assert run_program("program", lambda: print("a", file=sys.stdout) or print("b", file=sys.stderr)) == 0
    assert getattr(sys, name) is None


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    """Libraries write to descriptors 1 and 2 themselves."""
    code = (
        "import sys; from lass_hf.utils.terminal import safe_output\n"
        "with safe_output(), open(sys.argv[1], 'w') as file: file.write(str(file.fileno() > 2))"
    )
    file = tmp_path / "file"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, str(file)]
    subprocess.run(command, check=True, timeout=60)
    assert file.read_text() == "True"


def test_an_error_is_one_line_whatever_names_it_repeats(capsys):
    def fail():
        raise ValueError("two\nlines \x1b[2J")

    assert run_program("program", fail) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert not any("\x1b" in line for line in lines)
    assert lines[-1] == "program: error: ValueError: two: a mistake in program or in a library; please report it"

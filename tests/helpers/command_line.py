"""`lass-hf` called in-process, with good and with bad input."""

import json

from lass_hf.cli.commands import main

SUBCOMMANDS = ["train", "evaluate", "classify", "analyze", "predict", "info"]


def run(*argv) -> int:
    try:
        return main([str(argument) for argument in argv])
    except SystemExit as error:
        return error.code


def content_of(file):
    return json.loads(file.read_text(encoding="utf-8"))


class BadInput:
    """Runs a command that must fail with exit code 2 and one line on standard error, and gives that line."""

    def __init__(self, capsys, caplog):
        self.capsys = capsys
        self.caplog = caplog

    def __call__(self, *argv, quiet=True) -> str:
        self.capsys.readouterr()
        assert run(*argv, *(["--quiet"] if quiet else [])) == 2
        lines = self.capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert "Traceback" not in lines[0]
        assert not [record.getMessage() for record in self.caplog.records]  # what libraries log goes there too
        return lines[0]

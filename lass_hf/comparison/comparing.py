"""`compare`: several methods on the same split of a graph, with the same filter, ranks and thresholds."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evaluation.ranking_result import RankingResult
from ..evidence.bound_evidence import training_facts
from ..scoring.chunk_progress import differences
from ..scoring.output_folders import check_own, only_writer
from ..utils.checked_files import check_types
from ..utils.distributed import processes
from ..utils.environment import command_line
from ..utils.memory import is_out_of_memory
from ..utils.result_files import RESULTS, read_results, write_results
from ..version import __version__
from .contenders import Contender, EmbeddingContender, ModelContender, Outcome, RulesContender, Task
from .methods import EMBEDDINGS, OURS, check_choices, check_methods, title_of

Row = dict[str, Any]  # What a table shows of a method, as `compare` returns it.
ROW = {"method": str, "metrics": dict, "seconds_of": dict, "parameters": int}


def compare(
    methods: Sequence[str],
    task: Task,
    *,
    model: LassForKGCompletion | None = None,
    processor: LassProcessor | None = None,
    minutes: float | None = None,
    dtype: str = "auto",
    folder: str | Path | None = None,
) -> list[Row]:
    """Trains and measures several methods on the same split, with the same filter, ranks and thresholds.

    Args:
        methods: Their names, of `METHODS`.
        task: The graph, the split, and the seed.
        model: The text model of the method "ours".
        processor: Its processor.
        minutes: The time that all methods may be trained, an equal part each; None for no limit.
        dtype: Precision of the text model.
        folder: The folder that gets the results file of each method when it is done, and has those of an earlier call,
            which are not computed again.

    Returns:
        A row for each method, in their order: `method`, `metrics`, `seconds_of` ("training" and "ranking") and
        `parameters`. A method that could not be trained or measured, because its training diverged or memory was
        short, has no metrics, and `error` says why.

    Raises:
        LassError: A method is unknown, or needs what is not there (PyKEEN, a text model with its processor); another
            argument is wrong, or would change nothing; or the folder has results with other settings. Nothing was
            trained then.
        GraphError: The graph lacks the split, what the task needs of it, or training triplets.
    """
    contenders = prepare(methods, task, model=model, processor=processor, minutes=minutes, dtype=dtype)
    with _keeping(folder, task, contenders) as kept:
        rows = []
        for number, contender in enumerate(contenders, start=1):
            row = kept.get(contender.method)
            if row is None:
                title = f"{number}/{len(contenders)} {title_of(contender.method)}"
                row = _row(contender, _run(contender, task, title), folder, task)
            rows.append({name: row[name] for name in (*ROW, "error") if name in row})
    return rows


def prepare(
    methods: Sequence[str],
    task: Task,
    *,
    model: LassForKGCompletion | None = None,
    processor: LassProcessor | None = None,
    minutes: float | None = None,
    dtype: str = "auto",
) -> list[Contender]:
    """Makes contenders of the names of methods, and checks that each has what it needs.

    Args:
        methods: As in `compare`.
        task: As in `compare`.
        model: As in `compare`.
        processor: As in `compare`.
        minutes: As in `compare`.
        dtype: As in `compare`.

    Returns:
        The contenders, in the order of the methods.

    Raises:
        LassError: As in `compare`.
        GraphError: As in `compare`.
    """
    if processes().num_processes > 1:
        raise LassError("the methods are compared by one process, and there are more; start it without a launcher")
    names = check_methods(methods)
    if (model is None) != (processor is None):
        raise LassError(f"the method {OURS} needs a model and its processor, and one of them is not given")
    check_choices(names, model is not None, minutes, dtype)
    task.check()
    trained = [name for name in names if name != OURS]
    share = None if minutes is None or not trained else minutes / len(trained)
    if trained:
        training_facts(task.graph)
    contenders: list[Contender] = []
    for name in names:
        if name in EMBEDDINGS:
            contenders.append(EmbeddingContender(name, task.seed, share))
        elif name != OURS:
            contenders.append(RulesContender(task.seed, share))
        elif model is not None and processor is not None:
            processor.check_fit(model)
            contenders.append(ModelContender.of(model, processor, task, dtype))
    for contender in contenders:
        contender.identity  # noqa: B018  # PyKEEN must be there before the first training.
    return contenders


def _identity(contender: Contender, task: Task) -> dict[str, Any]:
    """Returns all that the figures of a method depend on, as JSON values."""
    device = processes().device.type
    own = {"version": __version__, **task.identity, "method": contender.method, "device": device, **contender.identity}
    return json.loads(json.dumps(own))


@contextmanager
def _keeping(folder: str | Path | None, task: Task, contenders: Sequence[Contender]) -> Iterator[dict[str, Row]]:
    """Keeps other runs out of the folder, and gives the results that it has, by the name of the method."""
    if folder is None:
        yield {}
        return
    with only_writer(folder):
        check_own(folder, "comparison", json.loads(json.dumps(task.identity)))
        kept = {}
        for contender in contenders:
            file = Path(folder, f"{contender.method}.json")
            if file.exists():
                kept[contender.method] = _read(file, _identity(contender, task))
        yield kept


def _read(file: Path, identity: dict[str, Any]) -> Row:
    """Returns the results of a method.

    Raises:
        LassError: The file has results with other settings, or is none of results.
    """
    content = read_results(file)
    check_types(file, content, {**ROW, "identity": dict}, "the results of a comparison; choose another --output")
    if details := differences(content["identity"], identity):
        raise LassError(f"{file}: the results of another comparison ({details}); choose another --output")
    return content


def _run(contender: Contender, task: Task, title: str) -> Outcome | str:
    """Returns the outcome of a method, or why it has none: one that fails does not cost the others their rows."""
    try:
        return contender.run(task, title)
    except LassError as error:  # Wrong arguments were refused before.
        return str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return f"out of memory ({first_line(error)})"


def _row(contender: Contender, outcome: Outcome | str, folder: str | Path | None, task: Task) -> Row:
    """Returns the row of a method, and writes its results file."""
    if isinstance(outcome, str):
        return {"method": contender.method, "metrics": {}, "seconds_of": {}, "parameters": 0, "error": outcome}
    result = outcome.result
    row: Row = {
        "method": contender.method,
        "metrics": result.metrics,
        "seconds_of": outcome.seconds,
        "parameters": outcome.parameters,
    }
    if folder is not None:
        values = {"ranks": result.ranks} if isinstance(result, RankingResult) else {"scores": result.scores}
        write_results(
            Path(folder, f"{contender.method}.json"),
            **row,
            task=task.identity["task"],
            split=task.split,
            seconds=round(sum(outcome.seconds.values()), 3),
            command=command_line(),
            identity=_identity(contender, task),
            **{name: array.tolist() for name, array in values.items()},
        )
    return row


def write_comparison(file: str | Path, rows: Sequence[Row], task: Task, **more: Any) -> None:
    """Writes the results file of a comparison.

    Args:
        file: The file.
        rows: The result of `compare`.
        task: The task.
        **more: Further keys, such as the name of the graph.
    """
    write_results(
        file,
        {row["method"]: row["metrics"] for row in rows},
        errors={row["method"]: row["error"] for row in rows if "error" in row},
        task="comparison",
        measured=task.identity["task"],
        split=task.split,
        seed=task.seed,
        parameters={row["method"]: row["parameters"] for row in rows},
        seconds_of={row["method"]: row["seconds_of"] for row in rows},
        choices={row["method"]: asdict(EMBEDDINGS[row["method"]]) for row in rows if row["method"] in EMBEDDINGS},
        command=command_line(),
        identity=json.loads(json.dumps(task.identity)),
        **more,
    )


def comparison_file(folder: str | Path) -> Path:
    """Returns the results file of a comparison in its folder."""
    return Path(folder, RESULTS["comparison"])

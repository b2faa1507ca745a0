"""The study of a hyperparameter search: Optuna keeps its trials in a file, so that a search that was killed goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import URL

from ..core.errors import LassError, library_errors
from ..scoring.chunk_progress import differences

STUDY_FILE, STUDY = "trials.db", "search"
UNPRUNED = 4  # trials, whose median the later ones are compared with
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "cut off"}


@dataclass(frozen=True)
class TrialRecord:
    """A trial that is over.

    Attributes:
        number: Its number, from 1 on. The first complete one is the recipe as it stands.
        state: "complete"; "pruned", when it was worse than others at the same stage, or could not be trained; or
            "cut off", when the search ended before it, and another trial has its values.
        values: The value of each argument that is searched.
        seconds: What it took; None if it was cut off.
        mrr: The MRR that it is compared by; of a pruned trial that of its last stage.
        metrics: All metrics of a complete trial.
        note: Why it could not be trained.
    """

    number: int
    state: str
    values: dict[str, Any]
    seconds: float | None = None
    mrr: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""


def open_study(folder: Path, identity: Mapping[str, Any]) -> optuna.Study:
    """Opens the study of a folder, or begins one.

    Raises:
        LassError: The file is no study, or the study is of another recipe, graph or seed and has trials that ended.
    """
    file = folder / STUDY_FILE
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(file.absolute())).render_as_string()
    choices: dict[str, Any] = {
        "study_name": STUDY,
        "direction": "maximize",
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
    }
    with library_errors(f"{file}: no study of a search that can be used", "; choose another --output_dir", LassError):
        storage = optuna.storages.RDBStorage(url)
        study = optuna.create_study(storage=storage, load_if_exists=True, **choices)
        put_back(study)
        before, trials = study.user_attrs.get("identity", identity), study.get_trials(deepcopy=False)
    if before != identity:
        if any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials):
            told = differences(before, identity)
            raise LassError(f"{folder}: has another search ({told}); choose another --output_dir")
        optuna.delete_study(study_name=STUDY, storage=storage)
        study = optuna.create_study(storage=storage, **choices)
    study.set_user_attr("identity", dict(identity))
    return study


def put_back(study: optuna.Study) -> None:
    """Puts the values of trials that were cut off back into the queue, for trials of their own."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        attributes = {name: value for name, value in trial.user_attrs.items() if name == "as_it_stands"}
        study.enqueue_trial(trial.params, user_attrs=attributes)
        study.tell(trial.number, state=TrialState.FAIL)


def trial_records(study: optuna.Study) -> list[TrialRecord]:
    """Returns the trials that are over, by number."""
    return [_as_record(trial) for trial in study.get_trials(deepcopy=False, states=tuple(STATES))]


def _as_record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    mrr = trial.value
    if mrr is None and trial.intermediate_values:
        mrr = trial.intermediate_values[max(trial.intermediate_values)]
    kept = trial.user_attrs.get("record", {"values": trial.params})
    return TrialRecord(trial.number + 1, STATES[trial.state], mrr=mrr, **kept)

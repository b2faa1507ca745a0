"""Arguments of the example scripts, which train a model and evaluate it, beside those of the training."""

from dataclasses import dataclass, field

from ..core.errors import LassError
from ..scoring.precision import DTYPES
from ..utils.result_files import read_training


@dataclass
class EvaluationArguments:
    """Arguments of a script that trains a model and evaluates it, for `parse_script`."""

    model: str | None = field(
        default=None, metadata={"help": "Folder of a model that was trained before: evaluate it, train none."}
    )
    split: str = field(default="test", metadata={"help": "Split to evaluate on."})
    limit: int | None = field(default=None, metadata={"help": "Rank a seeded choice of this many triplets only."})
    scoring_dtype: str = field(default="auto", metadata={"help": f"Precision of scoring: {', '.join(DTYPES)}."})

    def __post_init__(self):
        if self.scoring_dtype not in DTYPES:
            raise LassError(f"scoring_dtype={self.scoring_dtype!r}; expected one of {', '.join(DTYPES)}")
        if self.limit is not None and self.limit < 1:
            raise LassError(f"limit={self.limit}; expected 1 or more")
        if self.model is not None and read_training(self.model) is None:
            raise LassError(
                f"{self.model}: no training.json of a training that ended; expected the folder of one that did"
            )

    def results_file(self, task: str, output_dir: str) -> str:
        """Returns the results file of a task, beside the model; another split or a limit has a file of its own."""
        parts = [task, *([] if self.split == "test" else [self.split]), *([str(self.limit)] if self.limit else [])]
        return f"{self.model or output_dir}/{'-'.join(parts)}.json"

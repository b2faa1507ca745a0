"""`pipeline("kg-completion")` and `pipeline("triplet-classification")`: dicts in, dicts out, over `LassPredictor`.

The pipelines batch their items; the predictor resolves, scores and names. `import lass_hf` imports this module, so it
imports little itself.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoModel
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Pipeline

from ..core.errors import IndexFolderError, LassError, ModelError
from ..core.saved_files import replacing
from ..core.vocabulary import shown

if TYPE_CHECKING:
    from .predictor import LassPredictor


class LassPipeline(Pipeline):
    """The base of both pipelines: makes a `LassPredictor` of model and processor, which predicts batches of items.

    Args:
        model: A trained LassForKGCompletion.
        processor: Its LassProcessor, which must have its graph.
        dtype: "auto", "float32" or "bfloat16", as a string or as a torch dtype.
        **kwargs: Arguments of `transformers.Pipeline` and the parameters of the task.

    Raises:
        LassError: `model` or `processor` is of another kind, or the processor has no graph.
        ModelError: A tokenizer is given, or another part that only a processor holds; or the processor does not fit the
            model.
    """

    _load_processor: Any = True
    _load_tokenizer: Any = False
    _load_feature_extractor: Any = False
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    model: Any
    processor: Any
    tokenizer: Any

    default_batch_size = 1  # items per call of the predictor; the scoring engine cuts these into batches of its own
    parameters: tuple[str, ...] = ()

    def __init__(self, model: Any, processor: Any = None, dtype: Any = None, **kwargs: Any):
        if getattr(model.config, "model_type", None) != "lass" or not hasattr(processor, "token_store"):
            raise LassError(
                f"a pipeline over {type(model).__name__} and {type(processor).__name__}; expected a trained "
                "LassForKGCompletion and its LassProcessor, or the folder or hub name of both as model="
            )
        for name in ("tokenizer", "feature_extractor", "image_processor", "video_processor"):
            if kwargs.get(name) is not None:
                raise ModelError(
                    f"{name}= was given to a {kwargs.get('task', 'LASS')} pipeline, which reads texts by its processor "
                    "alone; to change the tokenizer, pass processor=LassProcessor(tokenizer) with its graph"
                )
        kwargs.pop("local_files_only", None)  # It was an argument for loading the model, which is done.
        super().__init__(model=model, processor=processor, **{"batch_size": self.default_batch_size, **kwargs})
        if self.tokenizer.pad_token_id is None:  # A pipeline requires one, though LassProcessor pads by itself.
            self.tokenizer = copy.deepcopy(self.tokenizer)
            self.tokenizer.pad_token = self.tokenizer.sep_token or self.tokenizer.eos_token
        self.predictor = self.make_predictor(str(dtype or "auto").removeprefix("torch."))

    def make_predictor(self, dtype: str) -> "LassPredictor":
        """Returns the predictor that the pipeline uses, which classifies triplets by their words."""
        from .predictor import LassPredictor  # Imported here because it imports the scoring engine.

        return LassPredictor(self.model, self.processor, dtype, evidence="text")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the pipeline.

        Args:
            inputs: An item, a list of items, a generator of items, or a torch or `datasets` dataset of items.
            *args: As for `transformers.Pipeline`.
            **kwargs: Parameters of the task, and `batch_size`.

        Returns:
            The result for an item, a list of results for a list, an iterator over results for the others.

        Raises:
            LassError: An item, a name in it, or a parameter is not as expected.
        """
        if isinstance(inputs, list) and not inputs:
            return []
        if type(inputs).__module__.startswith("datasets."):  # transformers would take the whole dataset for one item.
            inputs = (row for row in inputs)
        return super().__call__(inputs, *args, **kwargs)

    def save_pretrained(self, save_directory: Any, include_graph: str = "full", **kwargs: Any) -> None:
        """Saves model, processor and the evidence that the pipeline ranks by, from which it can be made again.

        A pipeline that ranks by the words alone, or that classifies, saves no evidence. Evidence that the folder has
        stays, unless it is replaced, or is that of another model.

        Args:
            save_directory: The folder.
            include_graph: As for `LassProcessor.save_pretrained`.
            **kwargs: Arguments of the model's `save_pretrained`.
        """
        from ..evidence.evidence_files import EVIDENCE_FOLDER, remove_stale_evidence, save_evidence

        with replacing(save_directory) as folder:
            self.model.save_pretrained(folder, **{"repo_id": Path(save_directory).name, **kwargs})
            self.processor.save_pretrained(folder, include_graph=include_graph)
            if self.predictor.evidence is not None and include_graph == "full":  # Evidence needs the graph's triplets.
                save_evidence(self.predictor.evidence, folder / EVIDENCE_FOLDER, self.processor.graph)
        remove_stale_evidence(Path(save_directory, EVIDENCE_FOLDER), self.model)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Uploads model, processor and card, and with `include_graph="full"` evidence.

        The evidence is what the pipeline ranks by; for one that ranks by the words alone, or that classifies, what the
        model's folder has.

        Args:
            repo_id: The name of the repository.
            **kwargs: Further arguments of `lass_hf.push_to_hub`.

        Returns:
            The result of `lass_hf.push_to_hub`.
        """
        from ..hub.upload import push_parts

        return push_parts(self.model, self.processor, self.predictor.evidence, repo_id, **kwargs)

    def _sanitize_parameters(self, **given: Any) -> tuple[dict, dict, dict]:
        if unknown := [name for name in given if name not in self.parameters]:
            expected = ", ".join((*self.parameters, "batch_size"))
            raise LassError(f"{unknown[0]}={given[unknown[0]]!r} for a {self.task} pipeline; expected {expected}")
        return {}, given, {}

    def preprocess(self, item: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"item": item}

    def _forward(self, batch: dict[str, Any], **parameters: Any) -> dict[str, Any]:  # type: ignore[override]
        items = batch["item"]
        if isinstance(items, list):
            return {"result": self.predict_batch(items, **parameters)}
        return {"result": self.predict_batch([items], **parameters)[0]}

    def postprocess(self, outputs: dict[str, Any]) -> Any:  # type: ignore[override]
        return outputs["result"]

    def predict_batch(self, items: list[Any], **parameters: Any) -> list[Any]:
        """Returns the results for a batch of items."""
        raise NotImplementedError


class KGCompletionPipeline(LassPipeline):
    """Predicts the missing part of triplets.

    An item is a dict with two of `head`, `relation` and `tail`. Each is the id or the text of an entity or relation of
    the graph, or `{"text": "..."}` for an entity that is new to it. The result is a list of dicts, best first: `id`,
    `text`, `score` (the higher, the more plausible), `known` (the graph holds the triplet) and, where the model has a
    calibration, the `label` ("true" or "false") and the `probability` that a triplet-classification pipeline gives the
    triplet. Where the model has evidence beside the words, heads and tails have `shares` (what each kind adds to the
    score) and `reasons` (the rules that speak for them, in words). `pipeline(..., evidence="text")` ranks by the words
    alone; see `LassPredictor.from_pretrained`.

    Parameters, for all calls or for one:

    - `top_k`: the number of predictions for each item, 10 by default;
    - `exclude_known`: leave out predictions that the graph holds already, True by default;
    - `candidates`: names to choose from, all entities (or all relations) by default;
    - `batch_size`: the number of items that are scored together, 32 by default.

    Example:
        ```python
        pipe = pipeline("kg-completion", model="runs/mine")
        pipe({"head": "cat", "relation": "eats"}, top_k=3)
        pipe([{"head": "cat", "relation": "eats"}, {"relation": "eats", "tail": {"text": "a new kind of food"}}])
        ```
    """

    default_batch_size = 32
    parameters = ("top_k", "exclude_known", "candidates")

    def __init__(self, model: Any, processor: Any = None, dtype: Any = None, evidence: Any = "auto", **kwargs: Any):
        self._evidence = evidence
        super().__init__(model, processor, dtype, **kwargs)

    def make_predictor(self, dtype: str) -> "LassPredictor":
        """Returns a predictor that reads entity vectors and evidence in the model's folder, where there are any."""
        from ..scoring.index_building import find_index_folder
        from .predictor import LassPredictor

        choices: dict[str, Any] = {"dtype": dtype, "evidence": self._evidence}
        folder = find_index_folder(self.model.name_or_path or "")
        if folder is None or not folder.is_dir() or not self.model.architecture.encodes_entities:
            return LassPredictor(self.model, self.processor, **choices)
        predictor = LassPredictor(self.model, self.processor, **choices, index_folder=folder)
        try:
            _ = predictor.index  # Read now, so that a damaged one is reported before the first item.
        except IndexFolderError:  # The model was trained further since; the vectors of its old weights stay there.
            return LassPredictor(self.model, self.processor, **choices)
        return predictor

    def predict_batch(self, items: list[Any], **parameters: Any) -> list[Any]:
        """Returns the predictions for each item of a batch."""
        return self.predictor.complete(items, **parameters)


class TripletClassificationPipeline(LassPipeline):
    """Classifies triplets as true or false.

    An item is a dict with `head`, `relation` and `tail`. Each is the id or the text of an entity or relation of the
    graph, or `{"text": "..."}` for an entity that is new to it. A `label` beside them is ignored. The result is a dict:
    `score` (the higher, the more plausible), `known` (the graph holds the triplet) and, where the model has a
    calibration, `label` ("true" or "false") and `probability` of being true (Platt scaling on the validation split).

    It has one parameter, for all calls or for one: `batch_size`, the number of items that are scored together, 256 by
    default.

    Example:
        ```python
        pipe = pipeline("triplet-classification", model="runs/mine")
        pipe({"head": "cat", "relation": "eats", "tail": "mouse"})
        ```
    """

    default_batch_size = 256

    def predict_batch(self, items: list[Any], **parameters: Any) -> list[Any]:
        """Returns score, `known`, label and probability of each item of a batch."""
        return self.predictor.classify([_triplet(item) for item in items])


def _triplet(item: Any) -> tuple[Any, Any, Any]:
    """Returns the names of a triplet that is given as a dict."""
    if not isinstance(item, Mapping) or set(item) - {"label"} != {"head", "relation", "tail"}:
        raise LassError(
            f'{shown(item)} is not a triplet; expected a dict such as {{"head": ..., "relation": ..., "tail": ...}}'
        )
    return item["head"], item["relation"], item["tail"]


for _task, _pipeline in (
    ("kg-completion", KGCompletionPipeline),
    ("triplet-classification", TripletClassificationPipeline),
):
    PIPELINE_REGISTRY.register_pipeline(_task, _pipeline, pt_model=AutoModel, type="text")

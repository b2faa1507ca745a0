"""`pipeline("kg-completion")` and `pipeline("triplet-classification")`: dicts in, dicts out, over `LassPredictor`.

It batches what it is given; it scores and names nothing. `import lass_hf` imports it, so it imports little.
"""

import copy
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import AutoModel
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Pipeline

from ..core.errors import IndexFolderError, LassError


class LassPipeline(Pipeline):
    """What both have in common: model and processor make a `LassPredictor`, which answers batches of items."""

    _load_processor: Any = True
    _load_tokenizer: Any = False
    _load_feature_extractor: Any = False
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    model: Any
    processor: Any
    tokenizer: Any

    items_at_once = 1  # when the caller gives no batch_size; how much is computed at once the scoring engine knows
    parameters: tuple[str, ...] = ()

    def __init__(self, model: Any, processor: Any = None, dtype: Any = None, **kwargs: Any):
        if getattr(model.config, "model_type", None) != "lass" or not hasattr(processor, "token_store"):
            raise LassError(
                f"a pipeline over {type(model).__name__} and {type(processor).__name__}; expected a trained "
                "LassForKGCompletion and its LassProcessor, or the folder or hub name of both as model="
            )
        kwargs.pop("local_files_only", None)  # meant for what is loaded by now
        super().__init__(model=model, processor=processor, **{"batch_size": self.items_at_once, **kwargs})
        if self.tokenizer.pad_token_id is None:  # a pipeline wants one; LassProcessor pads by itself
            self.tokenizer = copy.deepcopy(self.tokenizer)
            self.tokenizer.pad_token = self.tokenizer.sep_token or self.tokenizer.eos_token
        from .predictor import LassPredictor  # it imports the scoring engine

        self.predictor = LassPredictor(model, processor, str(dtype or "auto").removeprefix("torch."))

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """A result for a dict, a list for a list; an iterator for a generator, a torch or a `datasets` dataset."""
        if isinstance(inputs, list) and not inputs:
            return []
        if type(inputs).__module__.startswith("datasets."):  # rows, which transformers would take for one item
            inputs = (row for row in inputs)
        return super().__call__(inputs, *args, **kwargs)

    def save_pretrained(self, save_directory: Any, include_graph: str = "full", **kwargs: Any) -> None:
        """Saves model (`kwargs` are its own) and processor, from which the pipeline can be made again."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, include_graph=include_graph)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Uploads model, processor and card; arguments as of `lass_hf.push_to_hub`."""
        from ..hub.upload import push_to_hub

        return push_to_hub((self.model, self.processor), repo_id, **kwargs)

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
            return {"result": self.answer(items, **parameters)}
        return {"result": self.answer([items], **parameters)[0]}

    def postprocess(self, outputs: dict[str, Any]) -> Any:  # type: ignore[override]
        return outputs["result"]

    def answer(self, items: list[Any], **parameters: Any) -> list[Any]:
        """The results for a batch."""
        raise NotImplementedError


class KGCompletionPipeline(LassPipeline):
    """Finds what a triplet lacks.

    An item is a dict with two of `head`, `relation` and `tail`: each the id or the text of what the graph has, or
    `{"text": "..."}` for an entity that is new to it. The result is a list of dicts, best first: `id`, `text`, `score`
    (higher is more plausible), `known` (the graph holds the triplet) and, where a threshold was fitted, `label`
    ("true" or "false") and `probability`, those that a triplet-classification pipeline gives the triplet.

    Parameters, for all calls or for one: `top_k` (10), `exclude_known` (True: only answers that are new are given),
    `candidates` (names to choose from, instead of all), `batch_size` (how many items are scored together). Raises
    LassError for an item that is no question.

        pipe = pipeline("kg-completion", model="runs/mine")
        pipe({"head": "cat", "relation": "eats"}, top_k=3)
        pipe([{"head": "cat", "relation": "eats"}, {"relation": "eats", "tail": {"text": "a new kind of food"}}])
    """

    items_at_once = 32
    parameters = ("top_k", "exclude_known", "candidates")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        from ..scoring.index_building import INDEX_FOLDER, entity_index

        folder = Path(self.model.name_or_path, INDEX_FOLDER)
        if self.predictor.scorer.is_bi_encoder and folder.is_dir():
            with suppress(IndexFolderError):  # of other weights, where these were trained further: one in memory
                self.predictor.index = entity_index(self.predictor.scorer, folder, shared=False)

    def answer(self, items: list[Any], **parameters: Any) -> list[Any]:
        return self.predictor.complete(items, **parameters)


class TripletClassificationPipeline(LassPipeline):
    """Judges triplets.

    An item is a dict with `head`, `relation` and `tail`: each the id or the text of what the graph has, or
    `{"text": "..."}` for an entity that is new to it; a `label` beside them is ignored. The result is a dict: `score`
    (higher is more plausible), `known` (the graph holds the triplet) and, where a threshold was fitted, `label`
    ("true" or "false") and `probability` of being true (Platt scaling on validation).

    One parameter, for all calls or for one: `batch_size` (how many items are scored together). Raises LassError for an
    item that is no triplet.

        pipe = pipeline("triplet-classification", model="runs/mine")
        pipe({"head": "cat", "relation": "eats", "tail": "mouse"})
    """

    items_at_once = 256

    def answer(self, items: list[Any], **parameters: Any) -> list[Any]:
        return self.predictor.classify([_triplet(item) for item in items])


def _triplet(item: Any) -> tuple[Any, Any, Any]:
    """The names of a triplet that is given as a dict."""
    if not isinstance(item, Mapping) or set(item) - {"label"} != {"head", "relation", "tail"}:
        raise LassError(
            f'{item!r} is no triplet; expected a dict such as {{"head": ..., "relation": ..., "tail": ...}}'
        )
    return item["head"], item["relation"], item["tail"]


for _task, _pipeline in (
    ("kg-completion", KGCompletionPipeline),
    ("triplet-classification", TripletClassificationPipeline),
):
    PIPELINE_REGISTRY.register_pipeline(_task, _pipeline, pt_model=AutoModel, type="text")

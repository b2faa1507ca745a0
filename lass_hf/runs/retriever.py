"""The retriever of a training: the bi-encoder whose best wrong answers are the hard negatives of a cross-encoder."""

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import check_model_is_of
from ..training.recipes import TrainArguments

MINING_DEPTH = TrainArguments.mining_depth  # the default


def load_retriever(arguments: TrainArguments, graph: KnowledgeGraph) -> tuple[LassForKGCompletion, LassProcessor]:
    """Loads the model in `arguments.retriever`, and checks that negatives of a graph can be mined with it.

    Args:
        arguments: `retriever` and `mining_depth`, which may be beyond the entities of a small graph by default only.
        graph: The graph that is trained on.

    Returns:
        The model and its processor.

    Raises:
        LassError: The model is no bi-encoder, is that of another graph, or the depth is beyond the entities.
    """
    where, most = f"--retriever {arguments.retriever}", graph.num_entities - 1
    model = LassForKGCompletion.from_pretrained(arguments.retriever)
    if not model.architecture.encodes_entities:
        raise LassError(f"{where}: a cross-encoder; expected a bi-encoder")
    processor = LassProcessor.from_pretrained(arguments.retriever)
    try:
        check_model_is_of(processor, graph)
    except GraphError as error:
        raise GraphError(f"{where}: {error}") from None
    if arguments.mining_depth > max(most, MINING_DEPTH):
        raise LassError(
            f"mining_depth={arguments.mining_depth}; expected at most {most:,}, the most wrong answers of a query "
            f"among the {graph.num_entities:,} entities of {arguments.graph}"
        )
    return model, processor

"""The retriever of a training: the bi-encoder whose best wrong answers are the hard negatives of a cross-encoder."""

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.index_building import find_index_folder_for_graph
from ..scoring.triplet_scorer import TripletScorer, check_model_is_of
from ..training.data_collators import KGDataCollator
from ..training.hard_negatives import HardNegatives, mine_hard_negatives
from ..training.recipes import TrainArguments
from ..training.training_args import LassTrainingArguments
from ..utils.distributed import processes

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


def make_collator(
    arguments: TrainArguments,
    training: LassTrainingArguments,
    processor: LassProcessor,
    split: GraphSplit,
    mined: HardNegatives | None = None,
) -> KGDataCollator | None:
    """Makes a collator that also draws hard negatives: the best wrong answers of the model in `arguments.retriever`.

    Args:
        arguments: the source and the number of the hard negatives: `retriever`, `num_mined` and `mining_depth`.
        training: the choices by which the other negatives are drawn.
        processor: the processor of the model that is trained.
        split: the training triplets.
        mined: what `mine_negatives` gave for them; None to mine now.

    Returns:
        The collator; None without a retriever, which lets `LassTrainer` make its own.

    Raises:
        LassError: the retriever does not fit, as in `load_retriever`.
    """
    if arguments.retriever is None:
        return None
    if mined is None:
        mined = mine_negatives(arguments, split)
    drawn = training.sampling()
    return KGDataCollator(processor, split.graph, **drawn, hard_negatives=mined, num_mined=arguments.num_mined)


def mine_negatives(arguments: TrainArguments, split: GraphSplit) -> HardNegatives:
    """Finds the best wrong answers of the model in `arguments.retriever` for the queries of training triplets.

    Args:
        arguments: `retriever` and `mining_depth`.
        split: the training triplets.

    Raises:
        LassError: the retriever does not fit, as in `load_retriever`.
    """
    graph = split.graph
    model, of_retriever = load_retriever(arguments, graph)
    scorer = TripletScorer(model.to(processes().device), of_retriever.token_store(graph))
    kept = find_index_folder_for_graph(str(arguments.retriever), of_retriever, graph)
    return mine_hard_negatives(scorer, split, arguments.mining_depth, kept, arguments.quiet)

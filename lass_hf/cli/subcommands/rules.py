"""`lass-hf rules`: the rules that the training triplets of a graph follow, as a file and in words."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import GraphError, LassError
from ..options import above_zero, add_graph, add_output, not_negative, positive

if TYPE_CHECKING:
    from ...core.knowledge_graph import KnowledgeGraph
    from ...structure.rules import RuleSet

HELP = "find the rules that a graph follows, and write them in words"
USES_MODELS = False
RULES_FILE = "rules.tsv"
SHOWN_RELATIONS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf rules`."""
    add_graph(parser)
    parser.add_argument("--output", metavar="DIR", help=f"folder that gets {RULES_FILE} with all rules")
    parser.add_argument(
        "--minutes", type=above_zero, metavar="N", help="end the search after this time (default: when it is done)"
    )
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of the search (default: %(default)s)")
    parser.add_argument(
        "--top", type=positive, default=3, metavar="N", help="rules to print for a relation (default: %(default)s)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Finds the rules of a graph, writes them if asked to, and prints the best of its most frequent relations."""
    import time

    from tqdm.auto import tqdm

    from ...graphs.loading import load_graph
    from ...structure.facts import Facts
    from ...structure.rule_files import write_rules
    from ...structure.rule_mining import find_rules
    from ...utils.console import check_writable
    from ...utils.environment import command_line
    from ...utils.result_files import write_results
    from ...utils.terminal import one_line

    file = Path(arguments.output, RULES_FILE) if arguments.output else None
    if file is not None and file.exists():
        raise LassError(f"{file} exists, and people may have edited it; delete it, or choose another --output")
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    facts = Facts.from_graph(graph)
    if not len(facts.triplets):
        raise GraphError(f"{arguments.graph}: no training triplets, of which rules are made; expected a train split")
    if file is not None:
        check_writable(file)
    start = time.perf_counter()
    with tqdm(total=100, unit="%", desc="search", disable=arguments.quiet) as bar:

        def show(share: float, count: int) -> None:
            bar.n = round(100 * share)
            bar.set_postfix(rules=f"{count:,}")

        rules = find_rules(facts, minutes=arguments.minutes, seed=arguments.seed, on_progress=show)
    seconds = time.perf_counter() - start
    if file is not None:
        write_rules(file, rules, graph.entities, graph.relations)
    if arguments.json:
        metrics = {**count_rules(rules, graph.num_relations), "search_seconds": round(seconds, 2)}
        more = {"graph": arguments.graph, "seed": arguments.seed, "minutes": arguments.minutes}
        write_results(arguments.json, metrics, task="rules", **more, command=command_line())
    if not arguments.quiet:
        where = f": {one_line(file)}" if file else ""
        print(f"{len(rules):,} rules, found in {seconds:.1f} s{where}")
        print("confidence, rule (X is given, Y or a name is the answer), and how often it held:")
        print(*(one_line(line) for line in describe(graph, rules, arguments.top, file)), sep="\n")


def count_rules(rules: "RuleSet", num_relations: int) -> dict[str, int]:
    """Counts the rules: all, the relations that have some, those by the number of atoms, and those with constants."""
    import numpy as np

    is_path, lengths = rules.head_constants < 0, (rules.bodies >= 0).sum(axis=1)
    of_length = {f"rules_of_length_{one}": int((is_path & (lengths == one)).sum()) for one in (1, 2, 3)}
    with_rules = len(np.unique(rules.heads % num_relations))
    return {"rules": len(rules), "relations": with_rules, **of_length, "rules_with_constants": int((~is_path).sum())}


def describe(graph: "KnowledgeGraph", rules: "RuleSet", top: int, file: Path | None) -> list[str]:
    """Writes the best rules of the most frequent relations in words, each with its confidence and how often it held.

    The best are those that say the most: with the largest product of confidence and support.

    Args:
        graph: The graph.
        rules: Its rules.
        top: The most rules of a relation.
        file: Where all rules are, if anywhere.

    Returns:
        The lines.
    """
    import numpy as np

    from ...quality.name_faults import in_words
    from ...structure.rule_mining_paths import reverse_bodies
    from ...structure.rule_words import rule_in_words

    heads, lines, num_shown = rules.heads % graph.num_relations, list[str](), 0
    counts = np.bincount(heads, minlength=graph.num_relations)
    frequencies = np.bincount(graph["train"].positives[:, 1], minlength=graph.num_relations)
    relations = np.argsort(-frequencies, kind="stable")
    relations = relations[counts[relations] > 0]
    # The rules for tails and for heads are mirror images, with a confidence each: the better one is shown.
    is_turned = (rules.heads >= graph.num_relations) & (rules.head_constants < 0)
    bodies = np.where(is_turned[:, None], reverse_bodies(rules.bodies, graph.num_relations), rules.bodies)
    sides = np.where(is_turned, heads, rules.heads)
    keys = np.column_stack([sides, bodies, rules.head_constants, rules.body_constants])
    best = np.argsort(-rules.confidences * rules.supports, kind="stable")
    best = best[np.sort(np.unique(keys[best], axis=0, return_index=True)[1])]
    for relation in relations[:SHOWN_RELATIONS].tolist():
        lines += ["", f"{in_words(graph.relations, relation)}: {counts[relation]:,} rules"]
        for position in best[heads[best] == relation][:top].tolist():
            how_often = f"{rules.supports[position]:,} of {rules.body_counts[position]:,}"
            words = rule_in_words(rules, position, graph.entities, graph.relations)
            lines.append(f"  {rules.confidences[position]:.2f}  {words}  ({how_often})")
            num_shown += 1
    if num_shown < len(rules):
        more = f"and {len(rules) - num_shown:,} more rules"
        if len(relations) > SHOWN_RELATIONS:
            more += f", also of {len(relations) - SHOWN_RELATIONS:,} more relations,"
        lines += ["", f"{more} in {file}" if file else f"{more}; --output DIR writes all of them"]
    return lines

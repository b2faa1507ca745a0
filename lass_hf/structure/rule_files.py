"""Reads and writes `rules.tsv`: rules in a table that people read, edit and give back.

A line has tab-separated cells: the confidence, the head, the body, the rule in words, and counts. Head and body are
made of atoms such as `nationality(x, y)`, those of a body with " & " between them. The rule is for queries where x is
given: `nationality(x, y)` for tails, `nationality(y, x)` for heads. A bare x, y, z or w in an atom is a variable;
anything else is an id, which is written as a JSON string if it is one of these, has spaces or punctuation of the
notation, or begins with "#". Blank lines, and those that begin with "#", are skipped.
"""

import json
import re
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from ..core.vocabulary import BLANKS, Vocabulary, shown
from ..utils.atomic_files import write_whole
from ..utils.checked_files import read_text
from .rule_words import PATHS, atoms_of, rule_in_words
from .rules import MAX_LENGTH, RuleSet

COLUMNS = ("confidence", "head", "body", "rule", "support", "body_count", "group")
NEEDED = COLUMNS[:3]
VARIABLES = ("x", "y", "z", "w")
LARGEST = {"support": 2**63 - 1, "body_count": 2**63 - 1, "group": 2**30}
_PLAIN = rf'(?!#)[^"(),&\x00-\x1f\x7f{re.escape(BLANKS)}]+'
_IS_PLAIN = re.compile(_PLAIN)
_NAME = rf'{_PLAIN}|"(?:[^"\\]|\\.)*"'
_ATOM = re.compile(rf"\s*({_NAME})\s*\(\s*({_NAME})\s*,\s*({_NAME})\s*\)\s*")

# A directed relation and the entity of each end: a number, or the letter of a variable.
Atom = tuple[int, int | str, int | str]


def write_rules(file: str | Path, rules: RuleSet, entities: Vocabulary, relations: Vocabulary) -> None:
    """Writes rules to a file, whole or not at all.

    Args:
        file: The file to write, or to replace.
        rules: The rules.
        entities: The entities of the graph.
        relations: The relations of the graph.

    Raises:
        OSError: The file cannot be written.
    """
    columns = (rules.confidences, rules.heads, rules.head_constants, rules.supports, rules.body_counts, rules.groups)
    lines = ["\t".join(COLUMNS)]
    for position, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        confidence, relation, constant, *counts = row
        atoms, end = atoms_of(rules, position), "y"
        places = [name.lower() for name in PATHS[len(atoms)]]
        if constant >= 0:
            end, known = _quoted(entities.ids[constant]), int(rules.body_constants[position])
            places = ["x", "z" if known < 0 else _quoted(entities.ids[known])]
        steps = zip(atoms, places[:-1], places[1:], strict=True)
        body = " & ".join(_written(*step, relations) for step in steps)
        texts = (_written(relation, "x", end, relations), body, rule_in_words(rules, position, entities, relations))
        # A spreadsheet takes the marks away from a cell that begins with one.
        cells = (confidence, *(f" {text}" if text.startswith('"') else text for text in texts), *counts)
        lines.append("\t".join(map(str, cells)))
    write_whole(file, "\n".join(lines) + "\n")


def _written(relation: int, one: str, other: str, relations: Vocabulary) -> str:
    """Writes an atom of a directed relation; of an inverse one the arguments change places."""
    if relation >= len(relations):
        relation, one, other = relation - len(relations), other, one
    return f"{_quoted(relations.ids[relation])}({one}, {other})"


@lru_cache(2**14)
def _quoted(id: str) -> str:
    """Writes an id so that it is no variable, and ends where it ends."""
    return id if _IS_PLAIN.fullmatch(id) and id not in VARIABLES else json.dumps(id, ensure_ascii=False)


def read_rules(file: str | Path, entities: Vocabulary, relations: Vocabulary) -> RuleSet:
    """Reads rules that `write_rules` wrote, that people edited since, or that they wrote.

    Args:
        file: The file. The columns confidence, head and body are needed; rows may end after the last of them. An empty
            support or body_count is 0, a body_count of 0 is unknown, and a rule without group is redundant with no
            other. The rule in words is not read. Entities and relations may be named as `Vocabulary.find` finds them.
        entities: The entities of the graph.
        relations: The relations of the graph.

    Returns:
        The rules by the relation of their head, those for tails first, the most confident first, and otherwise in the
        order of the file.

    Raises:
        LassError: The file cannot be read, is not UTF-8 or has no header, or a line is no rule of the graph. The
            message names the line.
    """
    reader, seen = _AtomReader(entities, relations), dict[tuple, int]()
    rows, header = [], list[str]()
    for number, line in _numbered_lines(file):
        try:
            if not header:
                header = _read_header(line)
                continue
            cells = _cells(line, header)
            rule = reader.read(cells["head"], cells["body"])
            if (earlier := seen.setdefault(rule, number)) != number:
                raise LassError(f"the rule of line {earlier} again; keep one of them")
            support, body_count = _number(cells, "support") or 0, _number(cells, "body_count") or 0
            if support > body_count > 0:
                raise LassError(f"support {support} is more than body_count {body_count}")
            rows.append((*rule, support, body_count, _confidence(cells["confidence"]), _number(cells, "group")))
        except LassError as error:
            raise LassError(f"{file}, line {number}: {error}") from None
    if not header:
        raise LassError(f"{file}: the file is empty; expected a header with {', '.join(NEEDED)}")
    new_groups = count(1 + max((row[-1] for row in rows if row[-1] is not None), default=-1))
    rows = [(*row[:-1], next(new_groups) if row[-1] is None else row[-1]) for row in rows]
    rows.sort(key=lambda row: (row[0] % len(relations), row[0], -row[6]))
    return RuleSet.from_rows(rows)


def _numbered_lines(file: str | Path) -> list[tuple[int, str]]:
    """Returns the lines that say something, and their numbers."""
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise LassError(f"{file}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
    except OSError as error:
        raise LassError(f"{file}: cannot be read ({error.strerror or error})") from None
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip(BLANKS) and not line.startswith("#")]


def _read_header(line: str) -> list[str]:
    header = [cell.strip(BLANKS) for cell in line.split("\t")]
    if len(set(header)) < len(header) or not set(NEEDED) <= set(header) <= set(COLUMNS):
        raise LassError(f"the header is {shown(line)}; expected {', '.join(NEEDED)}, and of {', '.join(COLUMNS[3:])}")
    return header


def _cells(line: str, header: list[str]) -> dict[str, str]:
    """Returns the cells of a row by column; those that it lacks at its end are empty."""
    cells = line.split("\t")
    if len(cells) > len(header):
        raise LassError(f"{len(cells)} cells; expected at most {len(header)}, as in the header, with tabs between them")
    found = dict.fromkeys(COLUMNS, "")
    for name, cell in zip(header, cells, strict=False):
        if name != "rule":
            found[name] = _unquoted(cell.strip(BLANKS))
    if missing := [name for name in NEEDED if not found[name]]:
        raise LassError(f"no {missing[0]}; expected {', '.join(NEEDED)}, with tabs between them")
    return found


def _unquoted(cell: str) -> str:
    """Removes the quotation marks that spreadsheets put around a cell with such marks; no cell of ours has both."""
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if is_quoted else cell


def _confidence(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise LassError(f"the confidence is {shown(cell)}; expected a number above 0 and at most 1, such as 0.8")
    return value


def _number(cells: dict[str, str], column: str) -> int | None:
    """Returns the number in a cell; None if it is empty."""
    if not (cell := cells[column]):
        return None
    if not (cell.isascii() and cell.isdigit() and len(cell) < 20) or int(cell) > LARGEST[column]:
        raise LassError(f"the {column} is {shown(cell)}; expected an integer of 0 or more, or nothing")
    return int(cell)


class _AtomReader:
    """Reads heads and bodies in the numbers of a graph."""

    def __init__(self, entities: Vocabulary, relations: Vocabulary):
        self.entities, self.relations = entities, relations
        self._known: dict[str, list[Atom]] = {}

    def read(self, head: str, body: str) -> tuple[int, tuple[int, ...], int, int]:
        """Returns a rule: the relation of its head, its body, and its two constants.

        Raises:
            LassError: An atom is none or has an unknown name, or the rule has none of the forms in `rules.py`.
        """
        atoms = self._known.get(body) or self._known.setdefault(body, self._atoms(body))
        heads = self._known.get(head) or self._known.setdefault(head, self._atoms(head))
        if len(heads) > 1:
            raise LassError(f"the head {shown(head)} has {len(heads)} atoms; expected one")
        if len(atoms) > MAX_LENGTH:
            raise LassError(f"the body {shown(body)} has {len(atoms)} atoms; expected at most {MAX_LENGTH}")
        relation, start, end = heads[0]
        if start != "x":
            relation, start, end = self._turned(heads[0])
        if start != "x" or end == "x":
            raise LassError(f"the head {shown(head)}; expected x and what is asked for, y or an entity, in it")
        has_constant = isinstance(end, int)
        path: list[int] = []
        place: int | str = start
        is_path = not has_constant or len(atoms) == 1
        passed: set[int | str] = {start}
        for atom in atoms:
            step, one, next_place = atom if atom[1] == place else self._turned(atom)
            is_path &= one == place and next_place not in passed
            path.append(step)
            passed.add(place := next_place)
        # Without a constant in the head, the path ends where the head does, and has none on its way.
        is_path &= has_constant or (place == end and not any(isinstance(one, int) for one in passed))
        if not is_path:
            expected = f"a path from x to {end}" if not has_constant else "one atom with x and another end"
            raise LassError(f"the body {shown(body)} does not fit the head {shown(head)}; expected {expected}")
        if len(path) == 1 and (path[0], place) == (relation, end):
            raise LassError(f"the body {shown(body)} is the head itself")
        constants = (end, place if isinstance(place, int) else -1) if isinstance(end, int) else (-1, -1)
        return relation, (*path, *[-1] * (MAX_LENGTH - len(path))), *constants

    def _inverse(self, relation: int) -> int:
        return (relation + len(self.relations)) % (2 * len(self.relations))

    def _turned(self, atom: Atom) -> Atom:
        """Returns an atom read from its other end."""
        relation, one, other = atom
        return self._inverse(relation), other, one

    def _atoms(self, text: str) -> list[Atom]:
        """Reads atoms with "&" between them."""
        atoms, position = [], 0
        while match := _ATOM.match(text, position):
            relation, *arguments = match.groups()
            names: list[Any] = [name if name in VARIABLES else self._find(self.entities, name) for name in arguments]
            atoms.append((self._find(self.relations, relation), names[0], names[1]))
            position = match.end()
            if position == len(text):
                return atoms
            if text[position] != "&":
                break
            position += 1
        rest = shown(text[position:].strip())
        raise LassError(
            f"{rest} in {shown(text)} is no atom; expected such as relation(x, y), with & between atoms and ids with "
            "spaces or punctuation in quotation marks"
        )

    def _find(self, names: Vocabulary, name: str) -> int:
        if name.startswith('"'):
            try:
                name = json.loads(name)
            except ValueError:
                raise LassError(f"{shown(name)} is no JSON string") from None
        return names.find(name)

"""Draws docs/rooms.svg: the rooms of tfchain and the imports between them, read from the code.

Run: make rooms; `make lint` checks that the picture is up to date.

The rooms lie on the diagonal in the order of the staircase in pyproject.toml. A line leaves a room to the right, turns
at a number, and ends below at the imported room; the number counts the pairs of modules with a direct import. A line
that a contract in pyproject.toml forbids, or that is part of a cycle of rooms, is red.
"""

import sys
import tomllib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"
PACKAGE = "tfchain"

Imports = Mapping[tuple[str, str], int]  # (importing room, imported room) → pairs of modules

COLUMN, ROW = 104, 50
BOX_WIDTH, BOX_HEIGHT = 104, 34
LEFT, TOP, BELOW = 12, 12, 16
STYLE = """
    text { font-family: system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; text-anchor: middle; }
    .room { font-size: 13px; font-weight: 600; fill: #ffffff; }
    .stair { fill: #1f4e8c; }
    .beside { fill: #7a1f4d; }
    .line { fill: none; stroke: #8a94a1; stroke-width: 1.5; }
    .tip { fill: #8a94a1; }
    .badge { fill: #e8ecf1; stroke: #8a94a1; }
    .count { font-size: 12px; fill: #1c2430; }
    .legend { font-size: 13px; fill: #7d8794; text-anchor: start; }
    .wrong.line { stroke: #d11f1f; stroke-width: 2.5; }
    .wrong.tip { fill: #d11f1f; }
    .wrong.badge { fill: #d11f1f; stroke: #d11f1f; }
    .wrong.count { fill: #ffffff; }"""


@dataclass(frozen=True)
class Rules:
    """The rules for rooms in the contracts of pyproject.toml.

    Attributes:
        staircase: The rooms from top to bottom; each may import the rooms below it.
        forbidden: Pairs of a room and a room that it may not import, from the other contracts.
    """

    staircase: Sequence[str]
    forbidden: frozenset[tuple[str, str]]

    def place(self, rooms: Iterable[str]) -> list[str]:
        """Returns rooms in drawing order; a room beside the staircase is above the first room that it may import."""
        order = list(self.staircase)
        for room in sorted(set(rooms) - set(order)):
            steps = [step for step in order if step in self.staircase and (room, step) not in self.forbidden]
            order.insert(order.index(steps[0]) if steps else len(order), room)
        return order


def main(arguments: Sequence[str] | None = None, picture: Path = PICTURE) -> None:
    """Draws the picture and writes it, or checks the one that is there."""
    parser = ArgumentParser(description="Draws docs/rooms.svg from the imports.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the picture is out of date")
    drawn = draw_rooms(read_imports(), read_rules())
    if not parser.parse_args(arguments).check:
        picture.write_text(drawn, encoding="utf-8")
    elif not picture.exists() or picture.read_text(encoding="utf-8") != drawn:
        sys.exit(f"{picture.name} does not show the imports as they are: run `make rooms` and commit it.")


def read_rules(path: Path = ROOT / "pyproject.toml") -> Rules:
    """Reads the staircase and the forbidden imports from import-linter's contracts."""
    contracts = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    staircase = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    forbidden = {
        (to_room(source), to_room(target))
        for contract in contracts
        if contract["type"] == "forbidden"
        for source in contract["source_modules"]
        for target in contract["forbidden_modules"]
    }
    return Rules(staircase, frozenset(forbidden))


def read_imports() -> Imports:
    """Counts the direct imports between rooms; tfchain/__init__.py, with the public names, is in no room."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    imports: Counter[tuple[str, str]] = Counter()
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            rooms = to_room(importer), to_room(imported)
            if rooms[0] != rooms[1] and all(rooms):
                imports[rooms] += 1
    return imports


def to_room(module: str) -> str:
    """Returns a module's room: `tfchain.data.files.lines` → `data`; the package itself → an empty string."""
    return module.partition(".")[2].partition(".")[0]


def find_wrong(imports: Imports, rules: Rules) -> set[tuple[str, str]]:
    """Finds the imports that go upwards, that a contract forbids, or that are part of a cycle of rooms."""
    rooms = set(chain.from_iterable(imports))
    order = rules.place(rooms)
    upwards = {pair for pair in imports if order.index(pair[0]) > order.index(pair[1])}
    reached = {room: _find_reached(room, imports) for room in rooms}
    circles = {pair for pair in imports if pair[0] in reached[pair[1]]}
    return upwards | circles | (rules.forbidden & imports.keys())


def draw_rooms(imports: Imports, rules: Rules) -> str:
    """Draws the picture.

    Args:
        imports: The imports between rooms.
        rules: The contracts, which define the order of the rooms and the forbidden imports.

    Returns:
        An SVG document; it depends only on the arguments.
    """
    order = rules.place(chain.from_iterable(imports))
    wrong = find_wrong(imports, rules)
    width, height = LEFT + COLUMN * len(order) + 8, TOP + ROW * (len(order) - 1) + BOX_HEIGHT + BELOW
    pairs = sorted(imports, key=lambda pair: (pair in wrong, order.index(pair[0]), order.index(pair[1])))
    lines: list[str] = []
    badges: list[str] = []
    for pair in pairs:
        start, end = order.index(pair[0]), order.index(pair[1])
        kind = " wrong" if pair in wrong else ""
        lines += _draw_line(start, end, kind)
        badges += _draw_badge(start, end, imports[pair], kind)
    boxes = [line for place, room in enumerate(order) for line in _draw_box(place, room, room in rules.staircase)]
    described = "; ".join(f"{pair[0]} imports {pair[1]} ({imports[pair]})" for pair in pairs)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'aria-labelledby="title description">',
            '  <title id="title">The rooms of tfchain and the imports between them</title>',
            f'  <desc id="description">Drawn by tools/draw_rooms.py. {escape(described)}.</desc>',
            f"  <style>{STYLE}\n  </style>",
            *(f"  {line}" for line in chain(lines, badges, boxes, _draw_legend(len(order), bool(wrong)))),
            "</svg>\n",
        ]
    )


def _find_reached(room: str, imports: Imports) -> set[str]:
    """Returns the rooms that a room imports, directly or indirectly; includes the room itself only in a cycle."""
    reached: set[str] = set()
    pending = [room]
    while pending:
        current = pending.pop()
        found = {imported for importer, imported in imports if importer == current} - reached
        reached |= found
        pending += found
    return reached


def _to_centre(place: int) -> tuple[int, int]:
    return LEFT + COLUMN * place + BOX_WIDTH // 2, TOP + ROW * place + BOX_HEIGHT // 2


def _draw_line(start: int, end: int, kind: str) -> list[str]:
    """Draws a line along the importer's row and the imported room's column, with a tip at the imported room."""
    (x, y), (end_x, end_y) = _to_centre(start), _to_centre(end)
    down = 1 if end > start else -1
    side, edge = x + down * BOX_WIDTH // 2, end_y - down * BOX_HEIGHT // 2
    base = edge - down * 8
    return [
        f'<path class="line{kind}" d="M{side} {y} H{end_x} V{base}"/>',
        f'<path class="tip{kind}" d="M{end_x - 5} {base} H{end_x + 5} L{end_x} {edge} Z"/>',
    ]


def _draw_badge(start: int, end: int, count: int, kind: str) -> list[str]:
    """Draws the number of imports where the line turns."""
    x, y = _to_centre(end)[0], _to_centre(start)[1]
    return [
        f'<rect class="badge{kind}" x="{x - 16}" y="{y - 10}" width="32" height="20" rx="10"/>',
        f'<text class="count{kind}" x="{x}" y="{y + 4}">{count}</text>',
    ]


def _draw_box(place: int, room: str, is_stair: bool) -> list[str]:
    x, y = _to_centre(place)
    left, top = x - BOX_WIDTH // 2, y - BOX_HEIGHT // 2
    return [
        f'<rect class="{"stair" if is_stair else "beside"}" x="{left}" y="{top}" width="{BOX_WIDTH}" '
        f'height="{BOX_HEIGHT}" rx="7"/>',
        f'<text class="room" x="{x}" y="{y + 5}">{escape(room)}</text>',
    ]


def _draw_legend(rooms: int, has_wrong: bool) -> list[str]:
    """Draws the legend in the empty corner below the staircase."""
    bottom = TOP + ROW * (rooms - 1) + BOX_HEIGHT
    sentences = [
        "A line leads from a room, to the right and down, to a room that it imports.",
        "Numbers count the imports, from module to module.",
        "Purple rooms stand beside the staircase.",
        "Red lines break a contract." if has_wrong else "A line that broke a contract would be red.",
    ]
    return [
        f'<text class="legend" x="{LEFT}" y="{bottom - 22 * (len(sentences) - 1 - number)}">{escape(sentence)}</text>'
        for number, sentence in enumerate(sentences)
    ]


if __name__ == "__main__":
    main()

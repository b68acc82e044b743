"""docs/rooms.svg shows the imports as they are, and what would be wrong shows in red."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.draw_rooms import (
    ROOT,
    Imports,
    Rules,
    draw_rooms,
    find_wrong,
    main,
    read_imports,
    read_rules,
)

SVG = "{http://www.w3.org/2000/svg}"
RULES = Rules(("top", "middle", "low"), frozenset({("beside", "top"), ("beside", "middle"), ("low", "beside")}))


@pytest.fixture(scope="module")
def imports() -> Imports:
    return read_imports()


def find_red_lines(picture: str) -> int:
    return sum(path.get("class") == "line wrong" for path in ElementTree.fromstring(picture).iter(f"{SVG}path"))


def test_a_picture_that_is_out_of_date_is_found_and_drawn_again(tmp_path: Path) -> None:
    picture = tmp_path / "rooms.svg"
    with pytest.raises(SystemExit, match="rooms.svg does not show the imports as they are: run `make rooms`"):
        main(["--check"], picture)
    main([], picture)
    main(["--check"], picture)
    picture.write_text(picture.read_text(encoding="utf-8").replace("legend", "legends", 1), encoding="utf-8")
    with pytest.raises(SystemExit, match="run `make rooms`"):
        main(["--check"], picture)


def test_no_room_imports_upwards_or_in_a_circle(imports: Imports) -> None:
    assert find_wrong(imports, read_rules()) == set()


def test_every_room_is_in_the_picture(imports: Imports) -> None:
    rules = read_rules()
    drawn = {text.text for text in ElementTree.fromstring(draw_rooms(imports, rules)).iter(f"{SVG}text")}
    assert {"cli", "chains", "tasks", "training", "core", "deployment"} <= {*rules.staircase, "deployment"} <= drawn


def test_a_room_beside_the_staircase_stands_above_what_it_may_import() -> None:
    assert RULES.place({"low", "beside", "top"}) == ["top", "middle", "beside", "low"]


@pytest.mark.parametrize(
    ("added", "wrong"),
    [
        ({}, set()),
        ({("beside", "low"): 1, ("top", "beside"): 1}, set()),
        ({("low", "middle"): 1}, {("low", "middle"), ("middle", "low")}),  # upwards, which closes a circle
        ({("beside", "middle"): 2}, {("beside", "middle")}),  # a contract
        ({("low", "top"): 1}, {("low", "top"), ("top", "middle"), ("middle", "low")}),  # a circle of three
    ],
)
def test_what_is_wrong_is_found_and_red(added: Imports, wrong: set[tuple[str, str]]) -> None:
    imports = {("top", "middle"): 3, ("middle", "low"): 5, **added}

    assert find_wrong(imports, RULES) == wrong
    assert find_red_lines(draw_rooms(imports, RULES)) == len(wrong)


def test_numbers_are_those_of_the_imports() -> None:
    picture = draw_rooms({("top", "middle"): 3, ("middle", "low"): 17}, RULES)
    texts = [text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert texts[:2] == ["3", "17"]


def test_imports_are_counted_from_the_code(imports: Imports) -> None:
    """`runtime` is small enough to count by hand: `grep -rn "from tfchain.core" tfchain/runtime`."""
    found = {
        (path.name, line.split()[1])
        for path in (ROOT / "tfchain" / "runtime").glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("from tfchain.core")
    }
    assert imports["runtime", "core"] == len(found)

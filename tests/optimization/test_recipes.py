import dataclasses
import subprocess
import sys

import pytest

from tfchain import Quantize
from tfchain.core.errors import InputError
from tfchain.optimization.recipes import check_candidates, check_recipes, name_recipes, to_values


def test_a_recipe_is_plain_values_that_do_not_change() -> None:
    recipe = Quantize("int8")
    assert to_values(recipe) == {"recipe": "Quantize", "precision": "int8", "calibrated": False}
    assert recipe == Quantize(precision="int8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.precision = "float16"


@pytest.mark.parametrize("precision", ["int4", "float32", "", None, 8, ["int8"]])
def test_an_unknown_precision_is_refused(precision: object) -> None:
    with pytest.raises(InputError, match="`precision` of Quantize must be one of int8, float16, bfloat16. Received: "):
        Quantize(precision)


@pytest.mark.parametrize(("precision", "calibrated"), [("bfloat16", True), ("float16", True), ("int8", "yes")])
def test_only_int8_is_calibrated(precision: str, calibrated: object) -> None:
    with pytest.raises(InputError, match=f"True with 'int8'. Received: precision='{precision}', calibrated="):
        Quantize(precision, calibrated=calibrated)


@pytest.mark.parametrize(("recipes", "message"), [
    ([], "`recipes` must name at least one recipe. Received: an empty list. Try"),
    ("int8", "`recipes` must be a list of recipes.*Received: 'int8' of type str"),
    (None, "Received: None of type NoneType"),
    (["int8"], "must be one of Shrink, Distill, Quantize. Received: 'int8' at place 0. Write Quantize"),
    ([Quantize("int8"), 7], "Received: 7 at place 1"),
    ([Quantize], "Received: the class Quantize, not a value of it at place 0"),
    ([Quantize("int8"), Quantize("bfloat16")], "once in a list of recipes. Received: Quantize.*int8.*, Quantize"),
])  # fmt: skip
def test_what_is_no_list_of_recipes_is_one_clear_error(recipes: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_recipes(recipes)
    with pytest.raises(InputError, match=message):
        check_candidates(recipes)


def test_candidates_are_one_recipe_a_list_of_recipes_or_several_lists() -> None:
    int8, half = Quantize("int8"), Quantize("float16")
    assert check_candidates(int8) == [(int8,)]
    assert check_candidates([int8]) == [(int8,)]
    assert check_candidates([[int8], (half,)]) == [(int8,), (half,)]
    assert check_candidates([[int8], half]) == [(int8,), (half,)]
    assert name_recipes((half,)) == "float16"
    assert check_candidates([[int8], [Quantize("int8", calibrated=True)]])[1][0].label == "int8, calibrated"


@pytest.mark.parametrize(("candidates", "message"), [
    ([[Quantize("int8")], []], "at least one recipe"),
    ([[Quantize("int8")], [Quantize("int8")]], "Each candidate must come once. Received: int8 twice"),
    ([["int8"]], "Each recipe must be one of"),
])  # fmt: skip
def test_candidates_that_are_none_or_come_twice_are_refused(candidates: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_candidates(candidates)


def test_a_recipe_is_written_without_importing_tensorflow() -> None:
    code = "import sys; from tfchain import Quantize; Quantize('int8'); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"

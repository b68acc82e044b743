import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from tfchain import Cluster, Distill, Prune, Quantize, QuantizeAware, Shrink
from tfchain.core.errors import InputError
from tfchain.optimization.recipes import (
    check_candidates,
    check_recipes,
    check_training_recipes,
    from_values,
    name_recipes,
)


def test_a_recipe_is_plain_values_that_do_not_change() -> None:
    recipe = Quantize("int8")
    assert recipe.to_values() == {"recipe": "Quantize", "precision": "int8", "calibrated": False}
    assert recipe == Quantize(precision="int8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.precision = "float16"


@pytest.mark.parametrize("recipe", [
    Quantize("int8"), Shrink(layers=(0, 2)), Distill(epochs=3),
    Prune(0.7, pattern="block", block_size=(4, 1), layers=("layer_0", "token")),
    QuantizeAware(weight_bits=4, activation_bits=None, layers="layer_1"), Cluster(8, init="kmeans++", begin=0.5),
])  # fmt: skip
def test_a_recipe_is_written_as_json_and_read_again(recipe: Any) -> None:
    assert from_values(json.loads(json.dumps(recipe.to_values()))) == recipe


@pytest.mark.parametrize(("values", "message"), [
    ({}, "`recipe` must be one of TrimVocabulary, Shrink, Prune, .*, Distill, .*Vectors. Received: None"),
    ({"recipe": "Prune", "sparsity": 2}, "`sparsity` must be above 0 and below 1"),
    ({"recipe": "Prune", "density": 2}, "Prune cannot be made of {'density': 2}: .*unexpected keyword"),
])  # fmt: skip
def test_values_that_are_no_recipe_are_named(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_values(values)


def test_what_acts_while_training_is_told_from_the_rest() -> None:
    assert check_training_recipes([]) == ()
    assert check_training_recipes(Prune(0.3)) == check_training_recipes([Prune(0.3)]) == (Prune(0.3),)
    with pytest.raises(InputError, match="`recipes` of fit must act while training: Prune.* Received: Quantize"):
        check_training_recipes([Prune(0.3), Quantize("int8")])
    with pytest.raises(InputError, match="`recipes` must be a list of recipes"):
        check_training_recipes("prune")
    with pytest.raises(InputError, match="order TrimVocabulary, Shrink, Prune, .*, Cluster.* Received: Cluster, Pr"):
        check_training_recipes([Cluster(4), Prune(0.3)])


def test_quantization_aware_training_needs_a_training() -> None:
    assert check_training_recipes(QuantizeAware()) == (QuantizeAware(),)
    assert check_recipes([QuantizeAware(), Distill()])
    with pytest.raises(InputError, match="QuantizeAware acts only while training. Received: no Distill after it."):
        check_recipes([QuantizeAware(), Quantize("int8")])


def test_weights_are_clustered_when_they_have_been_pruned() -> None:
    late = [Prune(0.5, end=0.4), Cluster(4, begin=0.4)]
    early = [Prune(0.5, end=0.4), Cluster(4)]
    assert check_training_recipes(late) == check_recipes([*late, Distill()])[:2]
    assert check_recipes(early)  # without a training, one after the other
    for check in (lambda: check_training_recipes(early), lambda: check_recipes([*early, Distill()])):
        with pytest.raises(InputError, match=r"Cluster must begin where Prune ends: .* Write Cluster\(begin=0.4\)"):
            check()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: QuantizeAware(weight_bits=1), "`weight_bits` must be a whole number of at least 2"),
    (lambda: QuantizeAware(weight_bits=None), "`weight_bits` must be a whole number"),
    (lambda: QuantizeAware(activation_bits=16), "`activation_bits` must be from 2 to 8. Received: activation_bits=16"),
    (lambda: QuantizeAware(embedding_bits=1), "`embedding_bits` must be a whole number of at least 2"),
    (lambda: QuantizeAware(ema_decay=1), r"`ema_decay` must be in \[0, 1\). Received: ema_decay=1"),
    (lambda: QuantizeAware(layers=7), "`layers` must be a list of patterns"),
    (lambda: Cluster(1), "`num_clusters` must be a whole number of at least 2"),
    (lambda: Cluster(init="zeros"), "`init` of Cluster must be one of linear, density, kmeans.*, random. Received: "),
    (lambda: Cluster(max_iterations=-1), "`max_iterations` must be a whole number of at least 0"),
    (lambda: Cluster(begin=1.5), "`begin` must be in .0, 1."),
])  # fmt: skip
def test_values_of_quantization_aware_training_and_clustering(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


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
    (["int8"], "one of TrimVocabulary, Shrink, .*QuantizeVectors. Received: 'int8' at position 0. Write Quantize"),
    ([Quantize("int8"), 7], "Received: 7 at position 1"),
    ([Quantize], "Received: the class Quantize, not a value of it at position 0"),
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

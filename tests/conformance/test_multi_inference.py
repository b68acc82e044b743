"""MultiInference over gRPC: several tasks in one run, and the code and text of every refusal."""

from typing import Any

import pytest

from tests.conformance.conftest import VERSION
from tests.conformance.example_models import CLASSIFY, PREDICT, REGRESS, Asker, fill_spec, to_example


def make_examples() -> tuple[Any, Any]:
    return to_example(x=[0.25]), to_example()


def test_tasks_are_answered_in_their_order(graph: Asker, checked_graph: Asker) -> None:
    for asker in (graph, checked_graph):
        tasks = (("regress", REGRESS), ("", CLASSIFY), ("column", REGRESS), ("classes", CLASSIFY))
        results = asker.call("MultiInference", asker.joint_request(*tasks, examples=make_examples())).results
        assert [result.WhichOneof("result") for result in results] == [
            "regression_result", "classification_result", "regression_result", "classification_result",
        ]  # fmt: skip
        assert [result.model_spec.signature_name for result in results] == [
            "regress", "serving_default", "column", "classes",
        ]  # fmt: skip
        assert {(result.model_spec.name, result.model_spec.version.value) for result in results} == {("graph", VERSION)}
        assert [one.value for one in results[0].regression_result.regressions] == [1.5, 1.0]
        rows = results[1].classification_result.classifications
        assert [[(each.label, each.score) for each in row.classes] for row in rows] == [
            [("no", 0.75), ("yes", 0.25)],
            [("no", 1.0), ("yes", 0.0)],
        ]
        assert [one.value for one in results[2].regression_result.regressions] == [0.25, 0.0]
        assert [each.score for each in results[3].classification_result.classifications[0].classes] == [0.0, 0.0]


def test_a_function_of_tensorflow_2_is_asked_alone(module: Asker) -> None:
    examples = (to_example(x=[6.0]),)
    (result,) = module.call("MultiInference", module.joint_request(("regress", REGRESS), examples=examples)).results
    assert [one.value for one in result.regression_result.regressions] == [2.0]
    request = module.joint_request(("regress", REGRESS), ("", CLASSIFY), examples=examples)
    assert module.error("MultiInference", request) == (
        "INVALID_ARGUMENT",
        "Input tensor must be the same for all Signatures.",
    )


@pytest.mark.parametrize(
    ("tasks", "spec", "code", "text"),
    [
        ([], {}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ([("", CLASSIFY)], {"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ([("", CLASSIFY)], {"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        ([("", CLASSIFY)], {"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(graph, 9)"),
        ([("", CLASSIFY)], {"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        ([("", CLASSIFY), ("serving_default", CLASSIFY)], {}, "INVALID_ARGUMENT",
         "Duplicate evaluation of signature: serving_default"),
        ([("nope", CLASSIFY)], {}, "INVALID_ARGUMENT", "Requested signature not found in model graph: nope"),
        ([("", PREDICT)], {}, "UNIMPLEMENTED", f"Unsupported signature method_name: {PREDICT}"),
        ([("", "")], {}, "UNIMPLEMENTED", "Unsupported signature method_name: "),
        ([("three", CLASSIFY)], {}, "INVALID_ARGUMENT", "Expected one or two output Tensors, found 3"),
        ([("", REGRESS)], {}, "INVALID_ARGUMENT", "Expected one output Tensor."),
        ([("regress", REGRESS), ("parsed", REGRESS)], {}, "INVALID_ARGUMENT",
         "Input tensor must be the same for all Signatures."),
        ([("regress", REGRESS), ("flat", CLASSIFY)], {}, "INVALID_ARGUMENT",
         "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ([("", CLASSIFY), ("whole", REGRESS)], {}, "INVALID_ARGUMENT",
         "Expected output Tensor of DT_FLOAT.  Got: DT_INT32"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_named(graph: Asker, tasks: list[Any], spec: dict[str, Any], code: str, text: str) -> None:
    request = graph.joint_request(*tasks, examples=make_examples(), **spec)
    assert graph.error("MultiInference", request) == (code, text)


def test_all_tasks_must_name_one_model(graph: Asker) -> None:
    request = graph.joint_request(("regress", REGRESS), ("", CLASSIFY), examples=make_examples())
    request.tasks[0].ClearField("model_spec")
    assert graph.error("MultiInference", request) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    fill_spec(request.tasks[0].model_spec, "regress", name="graph")
    fill_spec(request.tasks[1].model_spec, "", name="other")
    assert graph.error("MultiInference", request) == (
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )
    request.tasks[1].ClearField("model_spec")
    assert graph.error("MultiInference", request) == (
        "INVALID_ARGUMENT",
        "Found ModelSpec with an empty model name.",
    )


def test_an_empty_input_is_named_after_the_tasks(graph: Asker) -> None:
    request = graph.joint_request(("regress", REGRESS), examples=())
    assert graph.error("MultiInference", request) == ("INVALID_ARGUMENT", "Input is empty.")
    request = graph.joint_request(("nope", REGRESS), examples=())
    assert graph.error("MultiInference", request)[1] == "Requested signature not found in model graph: nope"


def test_method_names_are_checked_where_the_flag_says_so(graph: Asker, checked_graph: Asker) -> None:
    request = graph.joint_request(("predict", CLASSIFY), examples=make_examples())
    assert len(graph.call("MultiInference", request).results) == 1
    assert checked_graph.error("MultiInference", request) == (
        "INVALID_ARGUMENT",
        f"Expected classification signature method_name to be {CLASSIFY}. Was: {PREDICT}",
    )


def test_a_deadline_ends_the_run(graph: Asker) -> None:
    request = graph.joint_request(("slow", REGRESS), examples=(to_example(ints=[9_000_000_000_000]),))
    assert graph.error("MultiInference", request, timeout=0.3)[0] == "DEADLINE_EXCEEDED"

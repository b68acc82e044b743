"""The configuration of models, as protos and files say it."""

from pathlib import Path
from typing import Any

import pytest

from tfchain.deployment.server.config import (
    ModelConfig,
    check_platforms,
    parse_config,
    read_config_file,
)
from tfchain.deployment.server.policies import All, Latest, Specific
from tfchain.deployment.server.status import StatusError


def parse(text: str) -> dict[str, ModelConfig] | None:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    return parse_config(text_format.Parse(text, model_server_config_pb2.ModelServerConfig()))


def one(entry: str) -> ModelConfig:
    models = parse(f"model_config_list {{ config {{ {entry} }} }}")
    assert models is not None
    (model,) = models.values()
    return model


DEPRECATED = "Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform."
M = 'name: "m" base_path: "/models/m" '


def test_a_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text(
        """
        # two models
        model_config_list: {
          config: {
            name: "first",  base_path: "/models/first", model_platform: "tensorflow",
            model_version_policy: { specific: { versions: 42 versions: 43 } }
            version_labels { key: "stable" value: 42 }
            version_labels { key: "canary" value: 43 }
          }
          config { name: 'second' base_path: 'file:///models/second' model_type: TENSORFLOW }
        }
        """
    )
    assert parse_config(read_config_file(tmp_path / "models.config")) == {
        "first": ModelConfig(
            "first", Path("/models/first"), Specific(frozenset({42, 43})), {"stable": 42, "canary": 43}
        ),
        "second": ModelConfig("second", Path("/models/second"), warnings=(DEPRECATED,)),
    }


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", Latest(1)),
        ("model_version_policy {}", Latest(1)),
        ("model_version_policy { latest {} }", Latest(1)),
        ("model_version_policy { latest { num_versions: 0 } }", Latest(1)),
        ("model_version_policy { latest { num_versions: 3 } }", Latest(3)),
        ("model_version_policy { all {} }", All()),
        ("model_version_policy { specific { versions: 7 } }", Specific(frozenset({7}))),
        ("model_version_policy { specific {} }", Specific(frozenset())),
    ],
)
def test_policies(policy: str, expected: Any) -> None:
    assert one(f'{M} model_platform: "tensorflow" {policy}').policy == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            f"{M}",
            "neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, model name",
        ),
        (
            f'{M} model_type: TENSORFLOW model_platform: "tensorflow"',
            "Illegal setting both ModelServerConfig::model_type",
        ),
        (f"{M} model_type: OTHER", "ModelServerConfig::model_type choice 2 not supported."),
        (
            'name: "m" base_path: "rel/path" model_platform: "tensorflow"',
            "Expected model m to have an absolute path or URI; got base_path()=rel/path",
        ),
        (
            'name: "m" base_path: "" model_platform: "tensorflow"',
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            'name: "m" base_path: "gs://bucket/m" model_platform: "tensorflow"',
            "Model m has base_path()=gs://bucket/m: copy it",
        ),
        ('base_path: "/m" model_platform: "tensorflow"', "must have a name"),
    ],
)
def test_a_wrong_entry_is_named(text: str, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        one(text)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert error in caught.value.message


def test_a_model_twice_is_named() -> None:
    with pytest.raises(StatusError) as caught:
        parse(f'model_config_list {{ config {{ {M} model_platform: "tensorflow" }} config {{ {M} }} }}')
    assert str(caught.value) == "INVALID_ARGUMENT: Illegal to list model m multiple times in config list"


def test_what_sets_nothing_is_none_and_an_empty_list_is_no_model() -> None:
    assert parse("") is None
    assert parse("model_config_list {}") == {}
    with pytest.raises(StatusError, match="does not yet support custom model config"):
        parse("custom_model_config {}")


def test_what_has_no_effect_or_is_deprecated_is_warned_of() -> None:
    logged = one(f'{M} model_platform: "tensorflow" logging_config {{ sampling_config {{ sampling_rate: 0.1 }} }}')
    assert logged.warnings == (
        "logging_config is ignored: the embedded server does not log requests. A stock one does.",
    )
    assert one(f"{M} model_type: TENSORFLOW").warnings == (DEPRECATED,)
    assert one(f'{M} model_platform: "tensorflow"').warnings == ()


@pytest.mark.parametrize("content", [b"model_config_list { config { nme: 'm' } }", b"\xff\xfe", b"no proto"])
def test_a_file_that_is_no_such_proto_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "models.config"
    path.write_bytes(content)
    with pytest.raises(StatusError) as caught:
        read_config_file(path)
    assert str(caught.value).startswith(
        f"INVALID_ARGUMENT: Invalid protobuf file: '{path}' "
        "(Error parsing text-format tensorflow.serving.ModelServerConfig: "
    )


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text("model_config_list {\n  config { nme: 'm' }\n}")
    with pytest.raises(
        StatusError, match='2:12 : Message type "tensorflow.serving.ModelConfig" has no field named "nme"'
    ):
        read_config_file(tmp_path / "models.config")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as caught:
        read_config_file(tmp_path / "gone")
    assert str(caught.value) == f"NOT_FOUND: {tmp_path / 'gone'}; No such file or directory"
    with pytest.raises(StatusError, match="FAILED_PRECONDITION: .*; Is a directory"):
        read_config_file(tmp_path)


def test_a_platform_must_be_one_that_is_served_and_may_not_change() -> None:
    served, other = one(f'{M} model_platform: "tensorflow"'), one(f'{M} model_platform: "caffe"')
    check_platforms({}, {"m": served})
    check_platforms({"m": served}, {"m": served})
    with pytest.raises(StatusError) as caught:
        check_platforms({}, {"m": other})
    assert str(caught.value) == "INVALID_ARGUMENT: Model m requests unsupported platform caffe"
    with pytest.raises(StatusError) as caught:
        check_platforms({"m": served}, {"m": other})
    assert str(caught.value) == (
        "INVALID_ARGUMENT: Illegal to change a model's platform. For model m platform was tensorflow and new platform "
        "requested is caffe"
    )

"""What a deployment serves, as flags of the server; no server is started."""

from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.served_models import ServedModels, make_config_text
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.flags import parse_flags
from tfchain.deployment.server.main import _to_options

FILE = 'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" } }'


def test_one_model_is_served_from_its_base_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served = ServedModels("docs", "m", source="mine")
    assert served.check() == ("m",)
    with served.flags() as flags:
        assert flags == ["--model_name=m", f"--model_base_path={tmp_path / 'docs'}", "--version_source=mine"]


def test_several_models_are_served_from_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served = ServedModels(models={"docs": "saved models/docs", 'a "name"\n': tmp_path / "文档"})
    assert served.check() == ("docs", 'a "name"\n')
    with served.flags() as flags:
        options = _to_options(parse_flags(flags))
        assert options.read_models() == {
            "docs": ModelConfig("docs", tmp_path / "saved models" / "docs"),
            'a "name"\n': ModelConfig('a "name"\n', tmp_path / "文档"),
        }
    assert options.config_file is not None
    assert not options.config_file.exists()


def test_the_models_of_a_file_are_served_with_labels_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text(FILE)
    served = ServedModels(config_file=tmp_path / "models.config", config_poll_seconds=2)
    assert served.check() == ("a",)
    with served.flags() as flags:
        options = _to_options(parse_flags(flags))
    assert (options.config_file, options.config_poll_seconds) == (tmp_path / "models.config", 2)
    assert options.allow_unavailable_labels


def test_the_text_of_several_models_is_a_config_file() -> None:
    assert make_config_text({"m": "/models/m"}) == (
        'model_config_list {\n  config {\n    name: "m"\n    base_path: "/models/m"\n'
        '    model_platform: "tensorflow"\n  }\n}\n'
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "must have one of `base_path`, `models` and `config_file`. Received: none of them"),
        ({"base_path": "p", "models": {"m": "p"}}, "Received: base_path and models"),
        ({"base_path": "p"}, "`model_name` must be a name without / or :"),
        ({"models": {"m": "p"}, "model_name": "m"}, "`model_name` belongs to `base_path`"),
        ({"config_file": "f", "source": "s"}, "`source` belongs to `base_path`. Received: source='s' with"),
        (
            {"models": {"m": "p"}, "config_poll_seconds": 1},
            "`config_poll_seconds` belongs to `config_file`. Received: ",
        ),
        ({"models": {}}, "`models` must map the names of models to their base paths. Received: models={}"),
        ({"models": ["p"]}, r"Received: models=['p']"),
        ({"models": {"a/b": "p"}}, "models='a/b'"),
        ({"config_file": "gone"}, "`config_file` must be a model config file of TensorFlow Serving. Received: gone."),
        ({"config_file": "f", "config_poll_seconds": 0.5}, "Received: config_poll_seconds=0.5"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ServedModels(**options).check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list { x }", "Invalid protobuf file"),
        ("", "which names none"),
        ("model_config_list {}", "which names none"),
        (FILE.replace('"/a"', '"a"'), "Expected model a to have an absolute path or URI; got base_path()=a"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(InputError) as caught:
        ServedModels(config_file=tmp_path / "f").check()
    assert message in str(caught.value)

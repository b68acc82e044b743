"""What a process that only answers imports, and that it answers what a process with everything answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.models.native_library import find_obstacle
from tfchain.models.text_encoder import TextEncoder

needs_kernels = pytest.mark.skipif(find_obstacle() is not None, reason=str(find_obstacle()))
HEAVY = ("tensorflow", "keras", "transformers", "huggingface_hub", "pyarrow", "tqdm", "torch", "http.client", "email")
CHILD = """
import json, sys
folder = sys.argv[1]
{code}
print(json.dumps([found, sorted(set(sys.modules) & set({heavy}))]))
"""


def run_child(code: str, folder: Path) -> object:
    """Runs code in a process of its own; what it calls `found`, once it has imported nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(code=code, heavy=HEAVY), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert not done.returncode, done.stderr
    found, heavy = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    return found


@pytest.fixture(scope="module")
def saved_chain(wide_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain in int8, computed in a precision that needs no conversion where the kernels do not run."""
    chain = NeuralSearchChain.from_pretrained(wide_model_path, engine="tensorflow")
    if find_obstacle() is None:
        chain.text_encoder = chain.text_encoder.with_precision("int8", engine="native")
    chain.add([f"the {word} sleeps" for word in ("cat", "dog", "stock")])
    return chain.save(tmp_path_factory.mktemp("saved") / "chain")


@needs_kernels
def test_a_saved_chain_answers_without_tensorflow_keras_and_transformers(saved_chain: Path) -> None:
    code = """
from tfchain import NeuralSearchChain
chain = NeuralSearchChain.load(folder)
chain.add(["a cat runs, and runs, and runs"])
found = [len(chain), [[hit.id, hit.score] for hit in chain.search("who sleeps? the DOG").hits]]
"""
    chain = NeuralSearchChain.load(saved_chain)
    chain.add(["a cat runs, and runs, and runs"])
    hits = chain.search("who sleeps? the DOG").hits
    assert run_child(code, saved_chain) == [4, [[hit.id, hit.score] for hit in hits]]


@needs_kernels
def test_a_model_folder_encodes_in_int8_without_tensorflow_keras_and_transformers(wide_model_path: Path) -> None:
    code = """
from tfchain.models.text_encoder import TextEncoder
encoder = TextEncoder.from_pretrained(folder, precision="int8")
vectors = encoder.encode(["the cat", "you 你好 sleep"])
found = [vectors.tolist(), encoder.fingerprint, encoder.with_precision("int8").fingerprint]
"""
    whole = TextEncoder.from_pretrained(wide_model_path)
    whole.encoder  # noqa: B018 - handed out: from here on the Keras model counts, not the folder
    expected = whole.with_precision("int8")
    vectors, *fingerprints = run_child(code, wide_model_path)  # type: ignore[misc]
    assert fingerprints == [expected.fingerprint] * 2
    np.testing.assert_array_equal(np.array(vectors, "float32"), expected.encode(["the cat", "you 你好 sleep"]))


def test_a_chain_in_float32_is_looked_at_without_tensorflow_keras_and_transformers(
    wide_model_path: Path, tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(wide_model_path, engine="tensorflow")
    chain.add(["the cat sleeps"])
    chain.save(tmp_path / "chain")
    code = """
from tfchain import NeuralSearchChain
chain = NeuralSearchChain.load(folder)
found = [len(chain), chain.is_stale, [one.id for one in chain.index], repr(chain)]
"""
    expected = [1, False, ["0"], "<NeuralSearchChain: 1 documents, 64 dimensions>"]
    assert run_child(code, tmp_path / "chain") == expected


def command(*arguments: str) -> str:
    return f"""
import contextlib, io
from tfchain.cli import main
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    main([*{arguments}, "--json"])
found = json.loads(out.getvalue())
""".replace("'DIR'", "folder")


@needs_kernels
def test_the_command_search_needs_neither_tensorflow_nor_keras_nor_transformers(saved_chain: Path) -> None:
    found = run_child(command("search", "DIR", "who sleeps? the dog"), saved_chain)
    hits = NeuralSearchChain.load(saved_chain).search("who sleeps? the dog").hits
    assert [hit["id"] for hit in found["results"][0]["hits"]] == [hit.id for hit in hits]  # type: ignore[index]


def test_the_command_info_needs_neither_tensorflow_nor_keras_nor_transformers(saved_chain: Path) -> None:
    found = run_child(command("info", "DIR"), saved_chain)
    assert (found["documents"], found["layers"], found["architecture"]) == (3, 2, "bert")  # type: ignore[index]

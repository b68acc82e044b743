"""transformers says nothing of PyTorch in the programs of those who use tfchain."""

import ast
import subprocess
import sys
from pathlib import Path

import tfchain

PACKAGE = Path(tfchain.__file__).parent


def test_loading_a_model_does_not_print_that_pytorch_was_not_found(tiny_model_path: Path) -> None:
    program = f"""
import logging, os
logging.basicConfig(level=logging.WARNING)
from tfchain.models.tokenizers.hugging_face import load_tokenizer
before = dict(os.environ)
print(len(load_tokenizer({str(tiny_model_path)!r})))
assert dict(os.environ) == before
logging.getLogger("transformers").warning("another warning")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 100
    assert "PyTorch" not in done.stderr
    assert "another warning" in done.stderr


def test_transformers_is_imported_by_its_door_alone() -> None:
    doors = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "transformers")
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "transformers" for name in node.names))
    ]
    assert doors == ["models/tokenizers/hugging_face.py"]

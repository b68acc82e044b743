import os
import re
import subprocess
from pathlib import Path

import pytest

import tfchain
from tfchain.runtime.child_process import make_environment, make_python_command


def test_a_child_does_not_run_files_of_the_current_folder_and_keeps_pythonpath(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder, name in ((here, "random"), (here, "queue"), (elsewhere, "mine")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(f"print('{name} of {folder.name}')")
    done = subprocess.run(
        make_python_command("-c", "import random, queue, mine, sys; print(sys.argv[1:])", "a", "-b"),
        env={**os.environ, "PYTHONPATH": str(elsewhere)},
        cwd=here,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "mine of elsewhere\n['a', '-b']\n"


def test_every_child_of_tfchains_is_started_by_this_command() -> None:
    folder = Path(tfchain.__file__).parent
    users = {str(path.relative_to(folder)) for path in folder.rglob("*.py") if "sys.executable" in path.read_text()}
    assert users == {"runtime/child_process.py"}
    starters = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if re.search(r"\b(subprocess\.(run|Popen|call|check_\w+)|os\.(system|spawn\w*|exec\w*))\(", path.read_text())
    }
    # jobs/local.py runs the command that `tfchain launch` makes, or what a user gives it.
    assert starters == {
        *(
            "data/extraction/extractor.py",
            "deployment/deploy.py",
            "deployment/server/workers/process.py",
            "jobs/local.py",
        ),
        *("models/engines/litert_conversion.py", "optimization/measure.py"),
    }


def test_a_child_gets_the_environment_without_what_tfmot_leaves_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.setenv("MINE", "2")
    expected = {**os.environ}
    del expected["TF_USE_LEGACY_KERAS"]
    assert make_environment() == expected

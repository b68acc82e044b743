"""`tfchain launch`: local workers and what they say, and the jobs that it writes."""

import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.jobs.api_checker import check_manifest
from tfchain.cli.launch import launch_local, launch_tuning, to_name
from tfchain.jobs.local import Outcome, Show

CONFIG = "model: org/name\ndataset: pairs.jsonl\noutput: out\n"
KUBERNETES = ("--target", "kubernetes", "--image", "registry/tfchain:1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The file of a training."""
    (tmp_path / "pairs.jsonl").touch()
    path = tmp_path / "Sci_Fact 2.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """Takes back what the command does to SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What workers were started with; the second of them says something and fails where there are three."""
    calls: list[dict[str, Any]] = []

    def run_workers(command: list[str], workers: int, show: Show, **options: Any) -> Outcome:
        calls.append({"command": command, "workers": workers, **options})
        show(0, "epoch 1", False)
        show(1, "error: no", True)
        return Outcome(3, 1) if workers == 3 else Outcome()

    monkeypatch.setattr("tfchain.jobs.local.run_workers", run_workers)
    return calls


def test_local_workers_run_the_same_training(run: Run, config: Path, launched: list[dict[str, Any]]) -> None:
    result = run("launch", config, "--workers", 2, "--accelerators", 1, "--verbose")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "[worker 0] epoch 1\n", "[worker 1] error: no\n")
    (call,) = launched
    assert call["command"][0] == sys.executable
    assert call["command"][-4:] == ["train", "--verbose", "--", str(config)]
    assert (call["workers"], call["gpus_per_worker"]) == (2, 1)


@pytest.mark.usefixtures("launched")
def test_the_exit_code_is_that_of_the_worker_that_failed(run: Run, config: Path) -> None:
    result = run("launch", config, "--workers", 3)

    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == "error: worker 1 ended with exit code 3. The others were ended."


def test_what_real_workers_say_comes_with_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "-train.yaml"  # no option, though it looks like one
    path.write_text("model: org/name\ncolour: x\n")

    exit_code = launch_local(path, 2, None, verbose=False)

    shown, said = capsys.readouterr()
    assert (exit_code, shown) == (1, "")
    *lines, last = said.splitlines()
    assert lines  # of one or of both: the other may have been ended before it came to say it
    for line in lines:
        assert re.match(rf"\[worker [01]\] error: {re.escape(str(path))}:2: There is no key `colour`", line)
    assert re.fullmatch(r"error: worker [01] ended with exit code 1. The others were ended.", last)


def test_a_mistake_is_told_before_any_worker_is_started(run: Run, config: Path, launched: list[dict[str, Any]]) -> None:
    config.write_text(CONFIG + "strategy: one\n")

    check_error(run("launch", config, "--workers", 2), f"error: {config}:4: `strategy` must be auto or multi_worker")
    for target in (KUBERNETES, ("--target", "slurm")):
        message = f"error: {config}:4: `strategy` must be auto or multi_worker for 2 workers"
        check_error(run("launch", config, *target, "--machines", 2), message)
        assert run("launch", config, *target, "--machines", 1).exit_code == 0
    config.write_text(CONFIG + "recipes:\n- prune: {end: 2}\n")
    check_error(run("launch", config, "--workers", 2), f"error: {config}:5: `end` must be in [0, 1]")
    assert launched == []


def test_a_jobset_is_written_for_kubernetes(run: Run, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "job.yaml"
    result = run(
        *("launch", config, *KUBERNETES, "--machines", 2, "--accelerators", 4, "--config-path", "/data/train.yaml"),
        *("--volume", "claim:/data", "--node-selector", "a/b=c", "--node-selector", "d=e", "--namespace", "ns"),
        *("--cpus", 8, "--memory", "32Gi", "--max-restarts", 1, "--program", "/opt/tfchain", "--out", out),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"wrote {out}; start it with:\n  kubectl apply -f {out}\n"
    manifest = yaml.safe_load(out.read_text())
    check_manifest(manifest, "JobSet")
    assert manifest["metadata"] == {"name": "sci-fact-2", "namespace": "ns"}
    assert manifest["spec"]["failurePolicy"] == {"maxRestarts": 1}
    job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["parallelism"], container["image"], container["command"]) == (2, "registry/tfchain:1", ["/opt/tfchain"])
    assert container["args"][:2] == ["train", "/data/train.yaml"]
    assert container["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": "4"}
    assert container["resources"]["requests"]["cpu"] == "8"
    assert pod["nodeSelector"] == {"a/b": "c", "d": "e"}
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}} in pod["volumes"]


def test_a_tfjob_is_written_where_it_is_asked_for(run: Run, config: Path) -> None:
    result = run("launch", config, *KUBERNETES, "--kind", "tfjob", "--machines", 2)

    manifest = yaml.safe_load(result.stdout)
    check_manifest(manifest, "TFJob")
    worker = manifest["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 2
    assert worker["template"]["spec"]["containers"][0]["args"] == ["train", str(config)]


def test_a_custom_job_is_written_for_vertex(run: Run, config: Path) -> None:
    result = run(
        *("launch", config, "--target", "vertex", "--image", "registry/tfchain:1", "--machines", 3),
        *("--accelerators", 2, "--accelerator", "NVIDIA_L4", "--machine-type", "g2-standard-24", "--name", "SciFact"),
        *("--config-path", "/gcs/bucket/train.yaml"),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    job = json.loads(result.stdout)
    check_manifest(job, "CustomJob")
    assert job["displayName"] == "SciFact"
    pools = job["jobSpec"]["workerPoolSpecs"]
    assert [pool["replicaCount"] for pool in pools] == ["1", "2"]
    assert {pool["machineSpec"]["acceleratorType"] for pool in pools} == {"NVIDIA_L4"}


def test_a_script_is_written_for_slurm(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    result = run(
        *("launch", config.name, "--target", "slurm", "--machines", 4, "--accelerators", 8, "--cpus", 16),
        *("--time", "12:00:00", "--sbatch", "partition=gpu", "--sbatch", "mem=0"),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert {"#SBATCH --nodes=4", "#SBATCH --gpus-per-node=8", "#SBATCH --time=12:00:00"} <= set(lines)
    assert {"#SBATCH --partition=gpu", "#SBATCH --mem=0", "#SBATCH --cpus-per-task=16"} <= set(lines)
    assert shlex.split(lines[-1])[-3:] == ["tfchain", "train", str(config)]  # from wherever it is submitted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--image", "a"), "--image belongs to --target kubernetes and vertex, not to local."),
        (("--target", "slurm", "--workers", "2"), "--workers belongs to --target local, not to slurm."),
        (("--target", "vertex", "--image", "a", "--volume", "a:/b"), "--volume belongs to --target kubernetes"),
        (("--target", "kubernetes"), "Missing option '--image', which --target kubernetes needs."),
        ((*KUBERNETES, "--volume", "data"), "--volume must be two words with : between them. Received: 'data'."),
        ((*KUBERNETES, "--volume", "data:"), "--volume must be two words with : between them. Received: 'data:'."),
        ((*KUBERNETES, "--node-selector", "=a"), "--node-selector must be two words with = between them."),
        (("--target", "slurm", "--cpus", "500m"), "--cpus must be a whole number for slurm. Received: 500m."),
        (("--target", "mars"), "'mars'"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(
    arguments: tuple[str, ...], words: str, run: Run, config: Path
) -> None:
    result = run("launch", config, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_values_that_do_not_fit_are_one_line(run: Run, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "job.yaml"

    check_error(run("launch", config, *KUBERNETES, "--memory", "much", "--out", out), "`memory` must look like 32Gi")
    check_error(run("launch", tmp_path / "gone.yaml", *KUBERNETES, "--out", out), "No such file", "gone.yaml")
    check_error(run("launch", config, *KUBERNETES, "--config-path", "train.yaml"), "must be an absolute path")
    assert not out.exists()


def test_a_search_is_shared_by_a_chief_and_workers_from_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[list[str], int]] = []

    def run_processes(command: list[str], environments: list[dict[str, str]], show: Show) -> Outcome:
        calls.append((command[-4:], len(environments)))
        show(0, "searching", False)
        show(1, "a trial", False)
        show(2, "error: no", True)
        return Outcome(3, 2)

    monkeypatch.setattr("tfchain.jobs.local.run_processes", run_processes)
    assert launch_tuning(Path("tune.yaml"), 2, None, verbose=True) == 3
    assert calls == [(["tune", "--verbose", "--", "tune.yaml"], 3)]
    told = capsys.readouterr()
    assert told.out == "[chief] searching\n[worker 0] a trial\n"
    assert told.err == (
        "[worker 1] error: no\n"
        "error: worker 1 ended with exit code 3. The others were ended; start it again to resume.\n"
    )


def test_names_become_what_clusters_take() -> None:
    assert to_name("Sci_Fact 2") == "sci-fact-2"
    assert to_name("2026") == "train-2026"
    assert to_name("训练") == "train"

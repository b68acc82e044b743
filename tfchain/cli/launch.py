"""`tfchain launch`: local workers of one training, or a job for Kubernetes, Vertex AI or Slurm."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import click

TARGETS = ("local", "kubernetes", "vertex", "slurm")
# Options that only some targets accept, by their parameters' names.
OPTION_TARGETS = {
    "workers": ("local",),
    "tune": ("local",),
    "verbose": ("local",),
    "machines": ("kubernetes", "vertex", "slurm"),
    "accelerator": ("kubernetes", "vertex", "slurm"),
    "name": ("kubernetes", "vertex", "slurm"),
    "config_path": ("kubernetes", "vertex", "slurm"),
    "program": ("kubernetes", "vertex", "slurm"),
    "out": ("kubernetes", "vertex", "slurm"),
    "image": ("kubernetes", "vertex"),
    "kind": ("kubernetes",),
    "namespace": ("kubernetes",),
    "volume": ("kubernetes",),
    "memory": ("kubernetes",),
    "node_selector": ("kubernetes",),
    "max_restarts": ("kubernetes",),
    "machine_type": ("vertex",),
    "cpus": ("kubernetes", "slurm"),
    "time": ("slurm",),
    "sbatch": ("slurm",),
}
NEXT_STEPS = {
    "kubernetes": "kubectl apply -f {out}",
    "vertex": 'curl -X POST -H "Authorization: Bearer $(gcloud auth print-access-token)" -H \'Content-Type: '
    "application/json' -d @{out} https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/customJobs",
    "slurm": "sbatch {out}",
}


@click.command("launch", short_help="Train on several workers or machines.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(TARGETS), default="local", show_default=True, help="Where to train.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="local: number of processes.  [default: 1]")
@click.option("--tune", is_flag=True, help="local: the workers share the trials of `tfchain tune`; a chief is added.")
@click.option("--machines", type=click.IntRange(min=1), default=1, help="Elsewhere: number of machines.  [default: 1]")
@click.option("--accelerators", type=click.IntRange(min=0), help="GPUs or TPU chips of each worker or machine.")
@click.option(
    "--accelerator",
    metavar="KIND",
    help="kubernetes: a resource [default: nvidia.com/gpu]; vertex: NVIDIA_…, TPU_…; slurm: a type of GPU.",
)
@click.option("--name", help="The job's name.  [default: the file's name]")
@click.option("--config-path", metavar="PATH", help="The path of CONFIG on the machines.  [default: CONFIG]")
@click.option("--image", help="kubernetes, vertex: a container image with tfchain in it.")
@click.option("--program", default="tfchain", help="The command tfchain on the machines.  [default: tfchain]")
@click.option("--kind", type=click.Choice(["jobset", "tfjob"]), default="jobset", help="kubernetes: what to write.")
@click.option("--namespace", help="kubernetes: the job's namespace.")
@click.option("--volume", metavar="CLAIM:PATH", help="kubernetes: a volume claim, and its path in the pods.")
@click.option("--cpus", help="kubernetes, slurm: cores of each process.")
@click.option("--memory", help="kubernetes: memory of each pod, 32Gi for example.")
@click.option("--node-selector", metavar="LABEL=VALUE", multiple=True, help="kubernetes: what a node must have.")
@click.option(
    *("--max-restarts",), type=click.IntRange(min=0), default=3, help="kubernetes: restarts of all pods.  [default: 3]"
)
@click.option("--machine-type", help="vertex: the type of each machine.  [default: n1-standard-8]")
@click.option("--time", metavar="LIMIT", help="slurm: the job's time limit, 12:00:00 for example.")
@click.option("--sbatch", metavar="OPTION=VALUE", multiple=True, help="slurm: another option, such as partition=gpu.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.  [default: standard output]")
@click.option("-v", "--verbose", is_flag=True, help="local: the workers log what they do.")
@click.pass_context
def launch_command(context: click.Context, /, config: Path, target: str, **options: Any) -> None:
    """Train as the file CONFIG says, in several processes or on several machines.

    Local workers run at once: their lines are shown after the worker's number, and when one fails the others are ended.
    For the other targets a job is written for you to start: a JobSet (or a Kubeflow TFJob), the body of a Vertex AI
    CustomJob, or a script for sbatch. All machines must see the files that CONFIG names.

    \b
    Examples:
      tfchain launch train.yaml --workers 2
      tfchain launch tune.yaml --tune --workers 2
      tfchain launch train.yaml --target kubernetes --machines 2 --accelerators 4 --image IMAGE \\
        --config-path /data/train.yaml --volume training-data:/data --out job.yaml
      tfchain launch train.yaml --target vertex --machines 2 --accelerators 1 --image IMAGE \\
        --config-path /gcs/BUCKET/train.yaml --out job.json
      tfchain launch train.yaml --target slurm --machines 4 --accelerators 8 --out job.sh
    """
    check_options(context, target)
    from tfchain.cli.train import make_recipes
    from tfchain.jobs.config import read_plan
    from tfchain.jobs.plan import check_for_workers

    plan = read_plan(config, check_files=target == "local")
    make_recipes(plan)  # a mistake is reported here, not by each worker
    if options["tune"]:
        from tfchain.jobs.plan import check_for_tuning

        check_for_tuning(plan)
        context.exit(launch_tuning(config, options["workers"], options["accelerators"], verbose=options["verbose"]))
    check_for_workers(plan, options["workers"] if target == "local" else options["machines"])
    if target == "local":
        context.exit(launch_local(config, options["workers"], options["accelerators"], verbose=options["verbose"]))
    text = write_job(config, target, options)
    out: Path | None = options["out"]
    if out is None:
        click.echo(text, nl=False)
        return
    from tfchain.core.atomic import write_file

    write_file(out, text)
    click.echo(f"wrote {out}; start it with:\n  {NEXT_STEPS[target].format(out=out)}")


def check_options(context: click.Context, target: str) -> None:
    """Rejects options that the target would ignore."""
    for name, targets in OPTION_TARGETS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and target not in targets:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} belongs to --target {' and '.join(targets)}, not to {target}.")
    if target in OPTION_TARGETS["image"] and not context.params["image"]:
        raise click.UsageError(f"Missing option '--image', which --target {target} needs.")


def launch_local(config: Path, workers: int, gpus: int | None, *, verbose: bool) -> int:
    """Runs workers on this machine.

    Returns:
        The exit code: that of the first worker that failed.
    """
    from tfchain.jobs.local import run_workers

    def show(worker: int, line: str, is_error: bool) -> None:
        click.echo(f"[worker {worker}] {line}", err=is_error)

    outcome = run_workers(make_command("train", config, verbose=verbose), workers, show, gpus_per_worker=gpus)
    if outcome.worker is not None:
        others = " The others were ended." if workers > 1 else ""
        click.echo(f"error: worker {outcome.worker} ended with exit code {outcome.exit_code}.{others}", err=True)
    return outcome.exit_code


def launch_tuning(config: Path, workers: int, gpus: int | None, *, verbose: bool) -> int:
    """Runs a chief and workers of a search on this machine.

    Returns:
        The exit code: that of the first process that failed.
    """
    from tfchain.jobs.local import run_processes
    from tfchain.jobs.tuning_workers import make_tuning_environments

    def name(number: int) -> str:
        return f"worker {number - 1}" if number else "chief"

    def show(number: int, line: str, is_error: bool) -> None:
        click.echo(f"[{name(number)}] {line}", err=is_error)

    environments = make_tuning_environments(os.environ, workers, gpus)
    outcome = run_processes(make_command("tune", config, verbose=verbose), environments, show)
    if outcome.worker is not None:
        ended = f"{name(outcome.worker)} ended with exit code {outcome.exit_code}"
        click.echo(f"error: {ended}. The others were ended; start it again to resume.", err=True)
    return outcome.exit_code


def make_command(name: str, config: Path, *, verbose: bool) -> list[str]:
    """Makes a worker's command line; from here on SIGTERM, which process managers send, ends all as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from tfchain.runtime.child_process import make_python_command

    options = ["--verbose"] if verbose else []
    return make_python_command("-c", "from tfchain.cli import main; main()", name, *options, "--", str(config))


def write_job(config: Path, target: str, options: dict[str, Any]) -> str:
    """Makes the text of a job for a cluster."""
    shared: dict[str, Any] = {
        "name": options["name"] or to_name(config.stem),
        "config_path": options["config_path"] or str(config),
        "machines": options["machines"],
        "accelerators": options["accelerators"] or 0,
        "accelerator": options["accelerator"],
        "program": options["program"],
    }
    if target == "kubernetes":
        from tfchain.jobs.kubernetes import KubernetesJob, make_jobset, make_tfjob, to_yaml

        claim, path = split_pair(options["volume"], ":", "--volume") if options["volume"] else (None, "/data")
        job = KubernetesJob(
            **shared,
            image=options["image"],
            namespace=options["namespace"],
            volume=claim,
            mount_path=path,
            cpu=options["cpus"],
            memory=options["memory"],
            node_selector=dict(split_pair(label, "=", "--node-selector") for label in options["node_selector"]),
            max_restarts=options["max_restarts"],
        )
        return to_yaml(make_jobset(job) if options["kind"] == "jobset" else make_tfjob(job))
    if target == "vertex":
        from tfchain.jobs.vertex import VertexJob, make_custom_job, to_json

        machine = {"machine_type": options["machine_type"]} if options["machine_type"] else {}
        return to_json(make_custom_job(VertexJob(**shared, image=options["image"], **machine)))
    from tfchain.jobs.slurm import SlurmJob, make_sbatch

    if options["config_path"] is None:
        shared["config_path"] = str(config.absolute())  # the script may be started from another folder
    cpus = options["cpus"]
    if cpus is not None and not cpus.isdecimal():
        raise click.UsageError(f"--cpus must be a whole number for slurm. Received: {cpus}.")
    more = dict(split_pair(option, "=", "--sbatch") for option in options["sbatch"])
    return make_sbatch(SlurmJob(**shared, cpus=int(cpus) if cpus else None, time=options["time"], options=more))


def split_pair(text: str, separator: str, option: str) -> tuple[str, str]:
    """Splits `NAME=VALUE` into its two sides."""
    name, found, value = text.partition(separator)
    if not (name and found and value):
        raise click.UsageError(f"{option} must be two words with {separator} between them. Received: {text!r}.")
    return name, value


def to_name(stem: str) -> str:
    """Turns a file's name into one that clusters accept: small letters, digits and dashes."""
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name if name[:1].isalpha() else f"train-{name}".strip("-")

"""What every cluster must know of a training: its name, its file, how many machines, how many accelerators in each."""

from dataclasses import dataclass

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

PROGRAM = "tfchain"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training on machines elsewhere.

    Args:
        name: Of the job.
        config_path: Where the training's file lies, as the machines see it; every machine must see the same files.
        machines: How many; one process runs on each. Default: 1.
        accelerators: How many GPUs or TPU chips each machine has. Default: 0.
        accelerator: Their kind, in the target's words. Default: what the target calls a usual GPU.
        program: The command `tfchain` as the machines know it. Default: `tfchain`, by their `PATH`.

    Raises:
        InputError: if a value cannot be.
    """

    name: str
    config_path: str
    machines: int = 1
    accelerators: int = 0
    accelerator: str | None = None
    program: str = PROGRAM

    def __post_init__(self) -> None:
        for name in ("name", "config_path", "program"):
            check_text(name, getattr(self, name))
        check_whole_number("machines", self.machines)
        check_whole_number("accelerators", self.accelerators, least=0)
        if self.accelerator is not None and not self.accelerators:
            raise InputError(
                f"`accelerators` must be at least 1 where a kind is named. Received: 0 of {self.accelerator}."
            )

    def train_arguments(self) -> list[str]:
        """What comes after the program to run the training."""
        return ["train", self.config_path]


def check_text(name: str, value: object) -> None:
    """Stops what is no text, or could break out of the line it is written on.

    Raises:
        InputError: if it is empty, or holds a control character.
    """
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InputError(f"`{name}` must be a text on one line. Received: {name}={value!r}.")

"""What every cluster must know about a training: name, file, number of machines, accelerators in each."""

from dataclasses import dataclass

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

PROGRAM = "tfchain"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training on other machines.

    Args:
        name: The job's name.
        config_path: The path of the training's file on the machines; every machine must see the same files.
        machines: The number of machines; each runs one process. Default: 1.
        accelerators: The number of GPUs or TPU chips of each machine. Default: 0.
        accelerator: Their kind, in the target's terms. Default: the target's usual GPU.
        program: The command `tfchain` on the machines. Default: `tfchain`, found in their `PATH`.

    Raises:
        InputError: if a value is not possible.
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
                f"`accelerators` must be at least 1 if a kind is named. Received: 0 of {self.accelerator}."
            )

    def train_arguments(self) -> list[str]:
        """The arguments of the program that run the training."""
        return ["train", self.config_path]


def check_text(name: str, value: object) -> None:
    """Rejects a value that is not a text, or could break out of the line it is written on.

    Raises:
        InputError: if it is empty, or holds a control character.
    """
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InputError(f"`{name}` must be a text on one line. Received: {name}={value!r}.")

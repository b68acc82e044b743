"""`Pipeline`: what every engine must know of a life cycle: its steps, their commands, image, volume and schedule."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.jobs.job import PROGRAM, check_text
from tfchain.jobs.kubernetes import LABEL
from tfchain.jobs.lifecycle.step import Step

LONGEST_NAME = 40  # engines add up to 23 characters, and Kubernetes takes 63
WAIT_SECONDS = 3600
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
FIELD = re.compile(r"(?:\*|\d+(?:-\d+)?)(?:/\d+)?")
WORDS = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10}
WORDS |= {"NOV": 11, "DEC": 12, "SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}


@dataclass(frozen=True, kw_only=True)
class PipelineStep:
    """A step as an engine runs it.

    Args:
        name: Its name, as Kubernetes takes it.
        needs: The names of the steps before it.
        command: The command line.
        approve: Whether it waits for a person: it then exits with 3 until someone has approved.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    approve: bool


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A life cycle as an engine runs it.

    Args:
        name: Its name, made of the file's.
        config: The path of the file, as the machines see it.
        steps: The steps, each after those that it needs.
        schedule: When cycles begin, as cron writes it.
        image: The image that has tfchain; None if none is named.
        volume: The claim of the volume with the file and its folders; None if none is named.
    """

    name: str
    config: str
    steps: tuple[PipelineStep, ...]
    schedule: str
    image: str | None = None
    volume: str | None = None

    def check_container(self, target: str, *, needs_volume: bool = True) -> tuple[str, str]:
        """Returns image and volume.

        Raises:
            InputError: if one is missing that the engine needs.
        """
        for flag, value, what in (
            ("image", self.image, "the container image that has tfchain"),
            ("volume", self.volume, "the claim of a volume that all steps share, with CONFIG and its folders"),
        ):
            if value is None and (flag == "image" or needs_volume):
                raise InputError(f"The target {target} needs --{flag}, {what}. Received: none.")
        return self.image or "", self.volume or ""

    @property
    def mount_path(self) -> str:
        """The folder of the file, where a volume is mounted."""
        return str(Path(self.config).parent)


def make_pipeline(
    steps: Sequence[Step],
    config: Path | str,
    *,
    schedule: str = "0 3 * * *",
    image: str | None = None,
    volume: str | None = None,
) -> Pipeline:
    """Makes the pipeline of a life cycle's steps.

    Args:
        steps: The steps, ordered.
        config: The file, made absolute: all machines must see it there.
        schedule: When cycles begin, as cron writes it. Default: every night at three.
        image: The image that has tfchain. Default: none.
        volume: The claim of the volume with the file. Default: none.

    Raises:
        InputError: if a value is not possible.
    """
    path = str(Path(config).absolute())
    check_text("config", path)
    check_schedule(schedule)
    if image is not None:
        check_text("image", image)
        if any(letter.isspace() for letter in image):
            raise InputError(f"`image` must be an image's name, without blanks. Received: image={image!r}.")
    if volume is not None and not re.fullmatch(rf"{LABEL.pattern}(?:\.{LABEL.pattern})*", volume):
        raise InputError(f"`volume` must look like models. Received: volume={volume!r}.")
    made = tuple(
        PipelineStep(
            name=step.name,
            needs=step.needs,
            command=(PROGRAM, "lifecycle", path, "--step", step.name, "--wait", str(WAIT_SECONDS)),
            approve=step.approve,
        )
        for step in steps
    )
    return Pipeline(
        name=to_name(Path(path).stem), config=path, steps=made, schedule=schedule, image=image, volume=volume
    )


def to_name(text: str) -> str:
    """Makes a name that Kubernetes takes: small letters, digits and hyphens, beginning with a letter."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"lifecycle-{name}".strip("-")
    return name[:LONGEST_NAME].rstrip("-")


def check_schedule(schedule: str) -> None:
    """Checks the five fields of a crontab's line.

    Raises:
        InputError: if a field cannot be read, or is out of range.
    """
    parts = schedule.split()
    if len(parts) != len(FIELDS) or not schedule.isprintable():
        raise InputError(
            f"`schedule` must have five fields, such as '0 3 * * 1' for Mondays at three. Received: {schedule!r}."
        )
    for part, (name, low, high) in zip(parts, FIELDS, strict=True):
        for item in part.split(","):
            plain = WORDS.get(item.upper(), item)
            numbers = [int(number) for number in re.findall(r"\d+", re.sub(r"/\d+$", "", str(plain)))]
            if not FIELD.fullmatch(str(plain)) or any(not low <= number <= high for number in numbers):
                raise InputError(
                    f"The {name} of `schedule` must be *, or numbers from {low} to {high}. Received: {part!r}."
                )

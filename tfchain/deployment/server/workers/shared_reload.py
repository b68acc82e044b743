"""`HandleReloadConfigRequest` with several workers: what reaches one of them takes effect in all."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from tfchain.deployment.server.status import Code, StatusError, to_status
from tfchain.deployment.server.workers.link import Link

BeginReload = Callable[[Any], Callable[[float | None], None]]
_SLACK_SECONDS = 10.0  # beyond the time limit of the workers and of the supervisor


def encode_config(config: Any) -> str:
    """Writes a `ModelServerConfig` as a text."""
    return base64.b64encode(config.SerializeToString()).decode("ascii")


def decode_config(text: str) -> Any:
    """Reads what `encode_config` has written."""
    from tensorflow_serving.config import model_server_config_pb2

    return model_server_config_pb2.ModelServerConfig.FromString(base64.b64decode(text))


def reload_all(link: Link, config: Any, seconds: float | None) -> None:
    """Replaces the configuration in all workers, this one too, and waits for their new models.

    Args:
        link: The link to the supervisor.
        config: The `ModelServerConfig`.
        seconds: The time limit; None for the workers' own.

    Raises:
        StatusError: that of the first worker with an error. If others had none, the message says so.
    """
    wait_seconds = None if seconds is None else seconds + _SLACK_SECONDS
    found = link.ask("reload", encode_config(config), seconds=seconds, wait_seconds=wait_seconds)
    check_answers(found["asked"], {int(number): answer for number, answer in found["answers"].items()})


def check_answers(asked: list[int], answers: Mapping[int, Any]) -> None:
    """Raises the error in the workers' answers to a reload, if there is one.

    Args:
        asked: The numbers of the workers that were asked.
        answers: Their answers: a status `code` and a `message`. One that has ended meanwhile has none; the process that
            replaces it begins with the configuration in force.

    Raises:
        StatusError: that of the first worker with an error. If others had none, the message says so.
    """
    failed = {number: answer for number, answer in answers.items() if answer["code"] != Code.OK}
    if not failed:
        return
    number = min(failed)
    message = failed[number]["message"]
    if len(failed) < len(answers):
        others = ", ".join(str(number) for number in sorted(answers.keys() - failed.keys()))
        message += f" (This is worker {number} of {len(asked)}; no error came from {others}.)"
    raise StatusError(Code(failed[number]["code"]), message)


def answer_reload_part(begin_reload: BeginReload, body: Any) -> Callable[[], Any]:
    """Puts a configuration in force in this worker.

    Args:
        begin_reload: Puts it in force, and returns a function that waits for its models.
        body: The `config`, and the time limit in `seconds`.

    Returns:
        A function that waits, and returns the answer: `code`, `message` and whether it is `in_force`.
    """
    try:
        wait = begin_reload(decode_config(body["config"]))
    except Exception as error:
        refused = _to_answer(error, in_force=False)
        return lambda: refused

    def finish() -> Any:
        try:
            wait(body["seconds"])
        except Exception as error:
            return _to_answer(error, in_force=True)
        return {"code": int(Code.OK), "message": "", "in_force": True}

    return finish


def _to_answer(error: Exception, *, in_force: bool) -> dict[str, Any]:
    status = to_status(error)
    return {"code": int(status.code), "message": status.message, "in_force": in_force}

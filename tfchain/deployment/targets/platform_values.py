"""Values that clusters and clouds read: names, images, quantities. A wrong one is one clear error here, not later."""

import re
from decimal import Decimal

from tfchain.core.errors import InputError

LONGEST_LABEL = 63
_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS = {None: "1", "m": "0.001", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_FACTORS |= {"Ki": str(2**10), "Mi": str(2**20), "Gi": str(2**30), "Ti": str(2**40)}
_WORD = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:(?:localhost(?::[0-9]+)?|{_WORD}(?:\.{_WORD})+(?::[0-9]+)?|{_WORD}:[0-9]+)/)?"
_IMAGE = re.compile(
    rf"({_HOST}[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?"
)
_NOT_IN_COMMENTS = re.compile(r"[^A-Za-z0-9 ()@.,:;/+_-]+")
_RELEASE = re.compile(r"([0-9]+\.[0-9]+)(?:\.[0-9]+)?(?:[.-].*)?")


def check_label(name: str, value: str, *, longest: int = LONGEST_LABEL) -> None:
    """Raises if a value is not a name of a Kubernetes object that may also be a host name (RFC 1035 label).

    Args:
        name: The option's name, for the error.
        value: The value.
        longest: The most characters. Default: 63.

    Raises:
        InputError: if it is not such a name, or is too long.
    """
    if not isinstance(value, str) or not _LABEL.fullmatch(value) or len(value) > longest:
        raise InputError(
            f"`{name}` must have lower-case letters, digits and - alone, begin with a letter, and have at most "
            f"{longest} characters, such as docs-search. Received: {name}={value!r}.",
            argument=name,
        )


def check_object_name(name: str, value: str) -> None:
    """Raises if a value is not a name of a Kubernetes object, which may have dots (RFC 1123 subdomain).

    Raises:
        InputError: if it is not such a name.
    """
    if not isinstance(value, str) or not _SUBDOMAIN.fullmatch(value) or len(value) > 253:
        raise InputError(
            f"`{name}` must be the name of an object in the cluster: lower-case letters, digits, - and . alone. "
            f"Received: {name}={value!r}.",
            argument=name,
        )


def to_label(text: str, *, longest: int = LONGEST_LABEL) -> str:
    """Makes a name for objects out of a model's name: `Docs_EN` becomes `docs-en`, `7b` becomes `model-7b`.

    Raises:
        InputError: if nothing is left of the name.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if label and not label[0].isalpha():
        label = f"model-{label}"
    label = label[:longest].rstrip("-")
    if not label:
        raise InputError(
            f"The model's name {text!r} has no letter or digit that an object's name may have. Give the option `name`, "
            "such as name=docs-search.",
            argument="name",
        )
    return label


def check_image(name: str, value: str) -> None:
    """Raises if an image is not named so that it stays the same: by a tag other than `latest`, or by its digest.

    Raises:
        InputError: if it is not an image's name, or has no such tag and no digest.
    """
    match = _IMAGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError(
            f"`{name}` must name an image with a tag or a digest, such as registry.example.com/docs:3 or "
            f"registry.example.com/docs@sha256:<64 hexadecimal digits>. Received: {name}={value!r}.",
            argument=name,
        )
    if match[3] is None and match[2] in (None, "latest"):
        raise InputError(
            f"`{name}` must have a tag other than latest, or a digest: pods that start later would run something else. "
            f"Received: {name}={value!r}. Name the image that was tested.",
            argument=name,
        )


def read_image_release(image: str) -> str | None:
    """Returns the release that an image's tag names: `2.20` of `tensorflow/serving:2.20.0-gpu`; None without one."""
    match = _IMAGE.fullmatch(image)
    release = _RELEASE.fullmatch(match[2] or "") if match else None
    return release[1] if release else None


def read_quantity(name: str, value: str) -> Decimal:
    """Returns the number that a quantity means: `500m` is 0.5, `2Gi` is 2147483648.

    Args:
        name: The option's name, for the error.
        value: The quantity, as Kubernetes writes it.

    Raises:
        InputError: if it is not a quantity, or is zero.
    """
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    number = Decimal(match[1]) * Decimal(_FACTORS[match[2]]) if match else Decimal(0)
    if number <= 0:
        raise InputError(
            f"`{name}` must be a quantity above zero, such as 2, 500m or 4Gi. Received: {name}={value!r}.",
            argument=name,
        )
    return number


def to_comment(text: str) -> str:
    """Returns a text that a version's files hold, for a comment: one line, without what a template or a shell reads.

    Example:
        to_comment("Xeon\\n[Service] {{ x }}")  # "Xeon Service x"
    """
    return " ".join(_NOT_IN_COMMENTS.sub(" ", text).split())


def check_percent(name: str, value: int, *, least: int = 0, most: int = 100) -> None:
    """Raises if a value is not a whole percentage in a range.

    Raises:
        InputError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"`{name}` must be a whole percentage from {least} to {most}. Received: {name}={value!r}.", argument=name
        )

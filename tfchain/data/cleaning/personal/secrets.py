"""Keys, tokens and passwords in a text."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tfchain.data.cleaning.personal.found import Found, without_overlaps


@dataclass(frozen=True)
class SecretForm:
    """A kind of secret.

    Args:
        kind: Its name.
        hints: One of these must be in the text; so most texts are searched for a few words only.
        pattern: Its form. If it has a group `secret`, that part is the secret.
        entropy: The least entropy of the secret, in bits a character (Shannon), where the form alone says little.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    entropy: float = 0.0


def form(kind: str, hints: str, pattern: str, entropy: float = 0.0, flags: int = 0) -> SecretForm:
    """Makes a form of hints, separated by white space, and a pattern."""
    return SecretForm(kind, tuple(hints.split()), re.compile(pattern, flags), entropy)


START, END = r"(?<![A-Za-z0-9_\-])", r"(?![A-Za-z0-9_\-])"

# Forms as their issuers document them, and as gitleaks 8 has them (https://github.com/gitleaks/gitleaks, MIT licence,
# config/gitleaks.toml), whose entropy of 3.5 for secrets in assignments this takes over.
FORMS = (
    form(
        "private_key",
        "-----BEGIN",
        r"-----BEGIN(?: [A-Z0-9]{1,16}){0,3} PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,.\-\\]{16,16384}?"
        r"-----END(?: [A-Z0-9]{1,16}){0,3} PRIVATE KEY(?: BLOCK)?-----",
    ),
    form("jwt", "eyJ", START + r"eyJ[A-Za-z0-9_\-]{10,4096}\.eyJ[A-Za-z0-9_\-]{10,8192}\.[A-Za-z0-9_\-]{10,1024}"),
    form("aws_key", "AKIA ASIA ABIA ACCA", START + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}" + END),
    form(
        "aws_secret",
        "aws AWS",
        r"(?i:aws)[A-Za-z_ .\-]{0,24}(?i:secret|key)[A-Za-z_ ]{0,24}[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        3.5,
    ),
    form(
        "github_token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        START + r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})" + END,
    ),
    form("gitlab_token", "glpat-", START + r"glpat-[A-Za-z0-9_\-]{20,64}" + END),
    form("slack_token", "xox", START + r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}" + END),
    form("slack_webhook", "hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{40,60}"),
    form("google_key", "AIza", START + r"AIza[A-Za-z0-9_\-]{35}" + END),
    form("google_token", "ya29.", START + r"ya29\.[A-Za-z0-9_\-]{20,1024}" + END),
    form("stripe_key", "sk_ rk_", START + r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,99}" + END),
    form("ai_key", "sk-", START + r"sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_\-]{20,200}" + END, 3.5),
    form("hugging_face_token", "hf_", START + r"hf_[A-Za-z0-9]{34}" + END),
    form("npm_token", "npm_", START + r"npm_[A-Za-z0-9]{36}" + END),
    form("pypi_token", "pypi-", START + r"pypi-AgE[A-Za-z0-9_\-]{50,1024}" + END),
    form("sendgrid_key", "SG.", START + r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}" + END),
    form(
        "url_password",
        "://",
        r"[a-z][a-z0-9+.\-]{1,20}://[^\s:@/\"'<>]{1,64}:(?P<secret>[^\s:@/\"'<>]{3,128})@[A-Za-z0-9]",
    ),
    form(
        "assignment",
        "pass PASS Pass secret SECRET Secret key KEY Key token TOKEN Token pwd PWD auth Auth AUTH 密码 密钥 口令",
        r"(?:(?i:passw(?:or)?d|passphrase|pwd|secret|api[_\-]?key|access[_\-]?key|private[_\-]?key|auth[_\-]?key|"
        r"client[_\-]?secret|token)|密码|密钥|口令)[A-Za-z0-9_]{0,20}[\"']?\s{0,3}(?:=>|:=|[=:：])\s{0,3}"
        r"(?P<quote>[\"'`]?)(?P<secret>[^\s\"'`<>{}()\[\],;，。；]{8,256})(?P=quote)",
        3.5,
    ),
)
KINDS = tuple(one.kind for one in FORMS)
# Stand-ins for a secret, and references to one.
NO_SECRET = re.compile(
    r"^[$%]|example|changeme|change_me|placeholder|your[_\-]|xxxx|\*\*\*|\.\.\.|^https?:|[a-z]\.[a-z]+\.", re.I
)


def find_secrets(text: str, kinds: Collection[str] = KINDS) -> list[Found]:
    """Finds keys, tokens and passwords by their forms.

    Args:
        text: The text.
        kinds: Which kinds. Default: all.

    Returns:
        The places, in order, without overlaps.

    Example:
        >>> find_secrets("Use AKIAIOSFODNN7EXAMPLE as the key.")
        [Found(start=4, end=24, kind='aws_key')]
    """
    return without_overlaps(all_secrets(text, kinds))


def all_secrets(text: str, kinds: Collection[str]) -> Iterator[Found]:
    """Yields what each form matches."""
    for one in FORMS:
        if one.kind not in kinds or not any(hint in text for hint in one.hints):
            continue
        group = "secret" if "secret" in one.pattern.groupindex else 0
        for match in one.pattern.finditer(text):
            secret = match[group]
            if one.entropy and (entropy_of(secret) < one.entropy or not is_random(secret)):
                continue
            yield Found(match.start(group), match.end(group), one.kind)


def is_random(secret: str) -> bool:
    """Returns whether a text may be a secret: no stand-in, and with a digit, unlike words joined by hyphens."""
    return not NO_SECRET.search(secret) and any(map(str.isdigit, secret))


def entropy_of(text: str) -> float:
    """Returns Shannon's entropy of a text's characters, in bits a character.

    Example:
        >>> entropy_of("abab")
        1.0
    """
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)

"""E-mail and IP addresses in a text."""

import ipaddress
import re
from collections.abc import Iterator

from tfchain.data.cleaning.personal.found import Found

# Letters of ASCII only: in Chinese an address stands right after a word. The look-behind keeps the search linear.
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9_%+\-][A-Za-z0-9._%+\-]{0,63}"
    r"(?:@|\s?[\[(]\s?at\s?[\])]\s?)"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9\-]|\.[A-Za-z0-9])"
)
NO_DOMAIN = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|ico|css|js|py|html?|json|md|txt|xml|ya?ml|so|dll|exe)$", re.IGNORECASE
)
IPV4 = re.compile(r"(?<![A-Za-z0-9_.\-])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_\-]|\.\d)")
VERSION = re.compile(
    r"(?:\bv|\bver(?:sion)?|\brelease|\bsection|\bchapter|\bfirmware|\bbuild|\bec|§|版本|章节?|节)[\s.:：]{0,3}$",
    re.IGNORECASE,
)
IPV6 = re.compile(
    r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![A-Za-z0-9_:])"
)


def find_emails(text: str) -> Iterator[Found]:
    """Yields e-mail addresses, also as `name (at) example.org`; not `git@…:path`, nor files such as `logo@2x.png`."""
    if "@" not in text and "(at" not in text and "[at" not in text and "( at" not in text:
        return
    for match in EMAIL.finditer(text):
        if NO_DOMAIN.search(match[0]) or (match[0].startswith("git@") and text[match.end() :][:1] == ":"):
            continue
        yield Found(match.start(), match.end(), "email")


def find_ip_addresses(text: str) -> Iterator[Found]:
    """Yields IPv4 and IPv6 addresses, those of no host (loopback, unspecified, multicast) aside.

    Four numbers after a word such as `version` or `section` are none.
    """
    if text.count(".") >= 3:
        for match in IPV4.finditer(text):
            if is_host(match[0]) and not VERSION.search(text, max(0, match.start() - 12), match.start()):
                yield Found(match.start(), match.end(), "ip")
    if text.count(":") >= 2:
        for match in IPV6.finditer(text):
            groups = [group for group in match[0].split(":") if group]
            if len(groups) >= 3 and any(map(str.isdigit, match[0])) and is_host(match[0]):
                yield Found(match.start(), match.end(), "ip")


def is_host(address: str) -> bool:
    """Returns whether a text is an IP address that a host can have."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or parsed.is_reserved)

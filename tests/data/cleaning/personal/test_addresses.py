"""Tests of finding e-mail and IP addresses, with what looks like them."""

import time

import pytest

from tfchain.data.cleaning.personal.addresses import find_emails, find_ip_addresses


def texts_of(found, text):
    return [text[start:end] for start, end, _ in found(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Write to li.wei+news@mail.example.co.uk.", "li.wei+news@mail.example.co.uk"),
        ("邮箱是wang_123@qq.com请联系", "wang_123@qq.com"),
        ("<a-b@example.museum>", "a-b@example.museum"),
        ("jane (at) example.org", "jane (at) example.org"),
        ("jane[at]example.org", "jane[at]example.org"),
        ("mailto:x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
    ],
)
def test_e_mail_addresses(text, address):
    assert texts_of(find_emails, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "logo@2x.png",
        "git@github.com:owner/repo.git",
        "user@host",
        "@types/node",
        "a@b",
        "pkg@1.2.3",
        "@handle met @other.",
        "at (at) 5",
    ],
)
def test_what_is_no_e_mail_address(text):
    assert texts_of(find_emails, text) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("from 203.0.113.45, port 80", "203.0.113.45"),
        ("服务器8.8.8.8，", "8.8.8.8"),
        ("at 2001:db8::ff00:42:8329 and", "2001:db8::ff00:42:8329"),
        ("fe80:0:0:0:202:b3ff:fe1e:8329", "fe80:0:0:0:202:b3ff:fe1e:8329"),
        ("http://10.1.2.3/x", "10.1.2.3"),
    ],
)
def test_ip_addresses(text, address):
    assert texts_of(find_ip_addresses, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "version 10.4.2.1",
            "EC 1.14.16.2",
            "v1.2.3.4",
            "Section 2.3.1.4",
            "1.2.3.4.5",
            "300.1.1.1",
            "01.02.003.004",
            "127.0.0.1",
        ),
        *("12:30:45", "std::vector", "a::b", "dead::beef", "00:1B:44:11:3A:B7", "::1", "Genesis 1:2:3", "1.2.3.4-beta"),
    ],
)
def test_what_is_no_ip_address(text):
    assert texts_of(find_ip_addresses, text) == []


@pytest.mark.parametrize("part", ["a", "a@", "a.", "1.", "1:", "f", "a (at)", "-"])
def test_hostile_texts_take_linear_time(part):
    text = part * (300_000 // len(part)) + "@"
    begin = time.perf_counter()
    list(find_emails(text)), list(find_ip_addresses(text))
    assert time.perf_counter() - begin < 3

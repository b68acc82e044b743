"""Tests of finding secrets. Each is put together here, so that no scanner takes this file for a leak."""

import time

import pytest

from tfchain.data.cleaning.personal.secrets import KINDS, entropy_of, find_secrets

LETTERS = "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1vW2"
BASE32 = "ABCDEFGH234567IJ"
SECRETS = {
    "private_key": f"-----BEGIN RSA PRIVATE KEY-----\n{LETTERS}\n{LETTERS}\n-----END RSA PRIVATE KEY-----",
    "jwt": f"eyJ{LETTERS[:20]}.eyJ{LETTERS[:30]}.{LETTERS[:43]}",
    "aws_key": "AKIA" + BASE32,
    "aws_secret": (f"aws_secret_access_key = {LETTERS[:40]}", LETTERS[:40]),
    "github_token": "ghp_" + LETTERS[:36],
    "gitlab_token": "glpat-" + LETTERS[:20],
    "slack_token": "xoxb-" + "123456789012-" + LETTERS[:24],
    "slack_webhook": "https://hooks.slack.com/services/" + "T00000000/B00000000/" + LETTERS[:24],
    "google_key": "AIza" + LETTERS[:35],
    "google_token": "ya29." + LETTERS[:40],
    "stripe_key": "sk_live_" + LETTERS[:24],
    "ai_key": "sk-proj-" + LETTERS[:48],
    "hugging_face_token": "hf_" + LETTERS[:34],
    "npm_token": "npm_" + LETTERS[:36],
    "pypi_token": "pypi-AgE" + LETTERS[:60],
    "sendgrid_key": f"SG.{LETTERS[:22]}.{LETTERS[:43]}",
    "url_password": ("postgres://admin:s3cr3t!pw@db.example.org/x", "s3cr3t!pw"),
    "assignment": (f'password = "{LETTERS[:16]}"', LETTERS[:16]),
}


def secrets(text):
    return [(kind, text[start:end]) for start, end, kind in find_secrets(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found(kind):
    text, secret = SECRETS[kind] if isinstance(SECRETS[kind], tuple) else (SECRETS[kind], SECRETS[kind])
    assert secrets(f"Take {text} for it.") == [(kind, secret)]
    assert find_secrets(text, [one for one in KINDS if one != kind and one != "assignment"]) == []


@pytest.mark.parametrize("name", ["api_key:", "API-KEY=", "token :=", "Client_Secret =>", "密码：", '"passwd":'])
def test_assignments_by_many_names(name):
    assert [kind for kind, _ in secrets(f"{name} {LETTERS[:20]}")] == ["assignment"]


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['PASSWORD']",
        "password: your_password_1",
        "token = ${GITHUB_TOKEN_1}",
        "The secret: everybody-knows",
        "api_key = aaaaaaaaaaaaaaaa1",
        "key: see https://example.org/a1b2c3",
        "AKIA is a prefix, ghp_ too, and sk-learn-is-a-package-for-everyone",
        "https://example.org:8080/path@2",
        "password must have 8 characters",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
    ],
)
def test_what_is_no_secret(text):
    assert secrets(text) == []


def test_entropy_by_hand():
    assert entropy_of("aaaa") == 0
    assert entropy_of("abcd") == 2
    assert entropy_of("aabbccdd") == 2


@pytest.mark.parametrize(
    "part", ["-----BEGIN PRIVATE KEY-----", "eyJ.", "password=", "aws key ", "://a:", "sk-", "xoxb-", "token_"]
)
def test_hostile_texts_take_linear_time(part):
    begin = time.perf_counter()
    find_secrets(part * (60_000 // len(part)))
    assert time.perf_counter() - begin < 4

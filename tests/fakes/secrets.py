"""Secrets of every kind that `redact` knows, made up from a seed, in the notations in which they are met. None of them opens anything."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_ALNUM = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_WORDY = _ALNUM + "_-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One text with a secret in it."""

    kind: str
    text: str
    secret: str  # the part that must never be seen


class Maker:
    """Random parts of secrets."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, alphabet: str, length: int) -> str:
        """Letters of this alphabet, at least one digit and one capital among them where it has any."""
        drawn = self._random.choices(alphabet, k=length)
        places = self._random.sample(range(1, length), k=min(3, length - 1))
        for place, wanted in zip(places, (string.digits, string.ascii_uppercase, string.ascii_lowercase), strict=False):
            known = [one for one in wanted if one in alphabet]
            if known:
                drawn[place] = self._random.choice(known)
        return "".join(drawn)

    def alnum(self, length: int) -> str:
        return self.of(_ALNUM, length)

    def upper(self, length: int) -> str:
        return self.of(_UPPER, length)

    def hex(self, length: int) -> str:
        return self.of("0123456789abcdef", length)

    def wordy(self, length: int) -> str:
        return "q" + self.of(_WORDY, length - 2) + "7"

    def digits(self, length: int) -> str:
        return "1" + self.of(string.digits, length - 1)

    def base64(self, length: int) -> str:
        return base64.b64encode(self._random.randbytes(length)).decode()

    def password(self) -> str:
        """What people take: letters, digits, a sign that no notation needs to escape."""
        return f"{self.alnum(5)}!{self.alnum(6)}"


_SHAPED: Mapping[str, Callable[[Maker], str]] = {
    "aws-access-key-id": lambda m: "AKIA" + m.upper(16),
    "aws-temporary-key-id": lambda m: "ASIA" + m.upper(16),
    "gcp-api-key": lambda m: "AIza" + m.wordy(35),
    "gcp-oauth-token": lambda m: "ya29." + m.wordy(60),
    "gcp-client-secret": lambda m: "GOCSPX-" + m.wordy(28),
    "azure-client-secret": lambda m: m.alnum(3) + "8Q~" + m.alnum(34),
    "github-classic": lambda m: "ghp_" + m.alnum(36),
    "github-app": lambda m: "ghs_" + m.alnum(36),
    "github-fine-grained": lambda m: f"github_pat_{m.alnum(22)}_{m.alnum(59)}",
    "gitlab": lambda m: "glpat-" + m.wordy(20),
    "gitlab-runner": lambda m: "glrt-" + m.wordy(20),
    "slack-bot": lambda m: f"xoxb-{m.digits(12)}-{m.digits(13)}-{m.alnum(24)}",
    "slack-app": lambda m: f"xapp-1-{m.upper(11)}-{m.digits(13)}-{m.hex(64)}",
    "discord-bot": lambda m: f"M{m.alnum(23)}.{m.alnum(6)}.{m.wordy(38)}",
    "telegram-bot": lambda m: f"{m.digits(10)}:AA{m.wordy(33)}",
    "stripe-secret": lambda m: "sk_live_" + m.alnum(24),
    "stripe-restricted": lambda m: "rk_live_" + m.alnum(24),
    "stripe-webhook": lambda m: "whsec_" + m.alnum(32),
    "twilio-api-key": lambda m: "SK" + m.hex(32),
    "sendgrid": lambda m: f"SG.{m.wordy(22)}.{m.wordy(43)}",
    "mailgun": lambda m: "key-" + m.hex(32),
    "mailgun-new": lambda m: f"{m.hex(32)}-{m.hex(8)}-{m.hex(8)}",
    "mailchimp": lambda m: m.hex(32) + "-us14",
    "npm": lambda m: "npm_" + m.alnum(36),
    "pypi": lambda m: "pypi-AgEIcHlwaS5vcmc" + m.wordy(90),
    "rubygems": lambda m: "rubygems_" + m.hex(48),
    "docker-hub": lambda m: "dckr_pat_" + m.wordy(27),
    "heroku": lambda m: "HRKU-" + m.wordy(40),
    "digitalocean": lambda m: "dop_v1_" + m.hex(64),
    "cloudflare-origin": lambda m: f"v1.0-{m.hex(24)}-{m.hex(146)}",
    "new-relic-user": lambda m: "NRAK-" + m.upper(27),
    "new-relic-licence": lambda m: m.hex(36) + "NRAL",
    "grafana-service-account": lambda m: f"glsa_{m.alnum(32)}_{m.hex(8)}",
    "grafana-cloud": lambda m: "glc_" + m.alnum(60),
    "sentry-auth": lambda m: "sntrys_" + m.alnum(60),
    "vault-service": lambda m: "hvs." + m.wordy(90),
    "vault-batch": lambda m: "hvb." + m.wordy(120),
    "terraform-cloud": lambda m: f"{m.alnum(14)}.atlasv1.{m.wordy(67)}",
    "databricks": lambda m: "dapi" + m.hex(32),
    "openai-like": lambda m: "sk-proj-" + m.wordy(60),
    "openai-old": lambda m: "sk-" + m.alnum(48),
    "anthropic-like": lambda m: "sk-ant-api03-" + m.wordy(90),
    "hugging-face": lambda m: "hf_" + m.alnum(34),
    "groq-like": lambda m: "gsk_" + m.alnum(52),
    "shopify": lambda m: "shpat_" + m.hex(32),
    "square": lambda m: "sq0atp-" + m.wordy(22),
    "atlassian": lambda m: "ATATT3xFfGF0" + m.wordy(180),
    "linear": lambda m: "lin_api_" + m.alnum(40),
    "notion": lambda m: "ntn_" + m.alnum(46),
    "figma": lambda m: "figd_" + m.wordy(40),
    "postman": lambda m: f"PMAK-{m.hex(24)}-{m.hex(34)}",
    "doppler": lambda m: "dp.st.prd." + m.alnum(40),
    "pulumi": lambda m: "pul-" + m.hex(40),
    "planetscale": lambda m: "pscale_pw_" + m.wordy(43),
    "artifactory": lambda m: "AKCp" + m.alnum(69),
    "dynatrace": lambda m: f"dt0c01.{m.upper(24)}.{m.upper(64)}",
    "sonarqube": lambda m: "sqp_" + m.hex(40),
    "tailscale": lambda m: f"tskey-auth-{m.alnum(12)}-{m.alnum(32)}",
    "buildkite": lambda m: "bkua_" + m.hex(40),
    "alibaba": lambda m: "LTAI" + m.alnum(20),
    "age": lambda m: "AGE-SECRET-KEY-1" + m.upper(58),
    "jwt": lambda m: f"eyJhbGciOiJIUzI1NiJ9.eyJ{m.wordy(60)}.{m.wordy(43)}",
    "kube-service-account": lambda m: f"eyJhbGciOiJSUzI1NiIsImtpZCI6I{m.wordy(40)}.eyJhdWQiOlsi{m.wordy(300)}.{m.wordy(340)}",
    "bcrypt": lambda m: "$2y$10$" + m.of("./" + _ALNUM, 53),
    "apr1": lambda m: f"$apr1${m.alnum(8)}${m.of('./' + _ALNUM, 22)}",
    "sha512-crypt": lambda m: f"$6${m.alnum(16)}${m.of('./' + _ALNUM, 86)}",
    "ssh-key-without-header": lambda m: "b3BlbnNzaC1rZXktdjEAAAAA" + m.alnum(120),
}
"""Secrets that are known by themselves, whatever stands around them."""

_NAMED: Mapping[str, tuple[Callable[[str], str], Callable[[Maker], str]]] = {
    "aws-secret-key": (lambda s: f"aws_secret_access_key = {s}", lambda m: m.of(_ALNUM + "/+", 40)),
    "aws-secret-json": (lambda s: f'{{"SecretAccessKey": "{s}"}}', lambda m: m.of(_ALNUM + "/+", 40)),
    "aws-session-token": (lambda s: f"AWS_SESSION_TOKEN={s}", lambda m: m.base64(90)),
    "aws-signature": (lambda s: f"https://b.s3.example/x?X-Amz-Date=20261125&X-Amz-Signature={s}&z=1", lambda m: m.hex(64)),
    "gcp-service-account": (
        lambda s: f'{{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\n{s}\\n-----END PRIVATE KEY-----\\n"}}',
        lambda m: m.base64(90),
    ),
    "gcp-key-id": (lambda s: f'"private_key_id": "{s}"', lambda m: m.hex(40)),
    "azure-storage": (lambda s: f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={s};EndpointSuffix=x", lambda m: m.base64(64)),
    "azure-sas": (lambda s: f"https://shop.blob.example/c/x?sv=2026-01-01&se=2026-11-26&sp=r&sig={s}", lambda m: m.alnum(40) + "%3D"),
    "azure-service-bus": (lambda s: f"Endpoint=sb://x/;SharedAccessKeyName=r;SharedAccessKey={s}", lambda m: m.base64(32)),
    "slack-webhook": (lambda s: f"POST https://hooks.slack.com/services/{s}", lambda m: f"T{m.upper(8)}/B{m.upper(8)}/{m.alnum(24)}"),
    "discord-webhook": (lambda s: f"https://discord.com/api/webhooks/123456789012345678/{s}", lambda m: m.wordy(68)),
    "teams-webhook": (lambda s: f"https://x.webhook.office.com/webhookb2/{s}", lambda m: f"{m.hex(32)}@{m.hex(32)}/IncomingWebhook/{m.hex(32)}"),
    "twilio-auth-token": (lambda s: f"TWILIO_AUTH_TOKEN={s}", lambda m: m.hex(32)),
    "npmrc": (lambda s: f"//registry.example/:_authToken={s}", lambda m: m.alnum(36)),
    "docker-registry": (lambda s: f'{{"auths":{{"registry.example":{{"auth":"{s}"}}}}}}', lambda m: m.base64(24)),
    "heroku-api-key": (lambda s: f"HEROKU_API_KEY={s}", lambda m: f"{m.hex(8)}-{m.hex(4)}-{m.hex(4)}-{m.hex(4)}-{m.hex(12)}"),
    "cloudflare-token": (lambda s: f"CLOUDFLARE_API_TOKEN: {s}", lambda m: m.wordy(40)),
    "datadog-api-key": (lambda s: f"DD-API-KEY: {s}", lambda m: m.hex(32)),
    "datadog-app-key": (lambda s: f"DD_APP_KEY={s}", lambda m: m.hex(40)),
    "pagerduty": (lambda s: f"Authorization: Token token={s}", lambda m: m.wordy(20)),
    "pagerduty-routing": (lambda s: f'"routing_key": "{s}"', lambda m: m.hex(32)),
    "opsgenie": (lambda s: f"Authorization: GenieKey {s}", lambda m: m.hex(36)),
    "sentry-dsn": (lambda s: f"SENTRY=https://{s}@o123.sentry.example/456", lambda m: m.hex(32)),
    "kubeconfig-key": (lambda s: f"    client-key-data: {s}", lambda m: m.base64(120)),
    "kubeconfig-token": (lambda s: f"    token: {s}", lambda m: m.alnum(40)),
    "tls-secret": (lambda s: f"  tls.key: {s}", lambda m: m.base64(90)),
    "bearer": (lambda s: f"authorization: Bearer {s}", lambda m: m.wordy(40)),
    "basic": (lambda s: f"> Authorization: Basic {s}", lambda m: m.base64(24)),
    "basic-in-json": (lambda s: f'{{"headers":{{"Authorization":"Basic {s}"}}}}', lambda m: m.base64(24)),
    "cookie": (lambda s: f"Cookie: theme=dark; sid={s}; lang=en", lambda m: m.alnum(32)),
    "set-cookie": (lambda s: f"Set-Cookie: shop_session={s}; Path=/; HttpOnly", lambda m: m.alnum(32)),
    "session-id": (lambda s: f"GET /cart;JSESSIONID={s} HTTP/1.1", lambda m: m.upper(32)),
    "php-session": (lambda s: f"PHPSESSID={s}", lambda m: m.alnum(26)),
    "pem": (lambda s: f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n-----END RSA PRIVATE KEY-----", lambda m: m.base64(48)),
    "pem-cut-off": (lambda s: f"key: -----BEGIN EC PRIVATE KEY-----\n{s}", lambda m: m.base64(48)),
    "openssh": (lambda s: f"-----BEGIN OPENSSH PRIVATE KEY-----\n{s}\n-----END OPENSSH PRIVATE KEY-----", lambda m: m.base64(48)),
    "pgp": (lambda s: f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{s}\n-----END PGP PRIVATE KEY BLOCK-----", lambda m: m.base64(48)),
    "postgres-dsn": (lambda s: f"postgresql://shop:{s}@db.shop:5432/shop?sslmode=require", Maker.password),
    "postgres-dsn-with-slash": (lambda s: f"postgres://shop:{s}@db.shop/shop", lambda m: f"{m.alnum(6)}/{m.alnum(6)}@{m.alnum(3)}"),
    "postgres-keywords": (lambda s: f"host=db user=shop password={s} dbname=shop", Maker.password),
    "mysql-dsn": (lambda s: f"mysql+pymysql://shop:{s}@mysql/shop", Maker.password),
    "mysql-go-dsn": (lambda s: f"shop:{s}@tcp(mysql.shop:3306)/shop?parseTime=true", Maker.password),
    "mongodb-dsn": (lambda s: f"mongodb+srv://shop:{s}@cluster0.example/shop", Maker.password),
    "redis-dsn": (lambda s: f"redis://:{s}@redis.shop:6379/0", Maker.password),
    "amqp-dsn": (lambda s: f"amqps://shop:{s}@rabbit.shop/%2f", Maker.password),
    "sqlserver": (lambda s: f"Server=tcp:db,1433;User ID=shop;Password={s};Encrypt=true", Maker.password),
    "jdbc": (lambda s: f"jdbc:postgresql://db/shop?user=shop&password={s}&ssl=true", Maker.password),
    "jdbc-oracle": (lambda s: f"jdbc:oracle:thin:shop/{s}@db:1521/x", lambda m: m.alnum(12)),
    "url-password": (lambda s: f"git clone https://shop:{s}@git.example/shop.git", Maker.password),
    "password-env": (lambda s: f"export DB_PASSWORD={s}", Maker.password),
    "password-yaml": (lambda s: f"  password: {s}", Maker.password),
    "password-yaml-quoted": (lambda s: f"  password: '{s} {s}'", Maker.password),
    "password-yaml-block": (lambda s: f"  password: |\n    {s}", Maker.password),
    "password-json": (lambda s: f'{{"user":"shop","password":"{s}"}}', Maker.password),
    "password-json-escaped": (lambda s: f'body="{{\\"password\\":\\"{s}\\"}}"', Maker.password),
    "password-json-with-quote": (lambda s: f'{{"password":"a\\"{s}"}}', Maker.password),
    "password-python": (lambda s: f"{{'password': '{s}', 'x': 1}}", Maker.password),
    "password-ruby": (lambda s: f':password => "{s}"', Maker.password),
    "password-toml": (lambda s: f'password = "{s}"', Maker.password),
    "password-ini": (lambda s: f"mail.smtp.password={s}", Maker.password),
    "password-flag": (lambda s: f"migrate --db-password {s} --verbose", Maker.password),
    "password-flag-equals": (lambda s: f"migrate --password='{s}'", Maker.password),
    "password-query": (lambda s: f"GET /login?user=x&password={s}&next=/", Maker.password),
    "password-encoded": (lambda s: f"body=user%3Dshop;password%3D{s}", lambda m: m.alnum(12)),
    "password-xml": (lambda s: f"<db><Password>{s}</Password></db>", Maker.password),
    "password-sql": (lambda s: f"ALTER USER shop IDENTIFIED BY '{s}'", Maker.password),
    "password-curl": (lambda s: f"curl -u shop:{s} https://x", Maker.password),
    "container-env-yaml": (lambda s: f"- name: DB_PASSWORD\n  value: {s}", Maker.password),
    "container-env-json": (lambda s: f'{{"name":"DB_PASSWORD","value":"{s}"}}', Maker.password),
    "netrc": (lambda s: f"machine git.example login shop password {s}", Maker.password),
    "htpasswd-sha": (lambda s: f"shop:{{SHA}}{s}", lambda m: m.base64(20)),
    "random-behind-a-telling-name": (lambda s: f"hash_salt={s}", lambda m: m.alnum(32)),
    "random-key": (lambda s: f'key: "{s}"', lambda m: m.alnum(40)),
    "encryption-key": (lambda s: f"ENCRYPTION_KEY={s}", lambda m: m.base64(32)),
}
"""Secrets that only what stands before them tells: how each is written, and how it is made."""

KINDS = (*_SHAPED, *_NAMED)
"""Names of all kinds."""


def planted(seed: int = 0) -> Iterator[Planted]:
    """One of each kind; other seeds give other secrets."""
    maker = Maker(seed)
    for kind, make in _SHAPED.items():
        secret = make(maker)
        yield Planted(kind=kind, text=f"rejected {secret} of 10.0.0.7", secret=secret)
    for kind, (write, make) in _NAMED.items():
        secret = make(maker)
        yield Planted(kind=kind, text=write(secret), secret=secret)


def everywhere(seed: int = 0) -> Iterator[Planted]:
    """Those with a shape, once more in places where words touch them."""
    maker = Maker(seed)
    around = ("key={}", '"{}"', "({})", "https://x.example/{}/y", "[{}]", "{},", "a={}&b=1", "<{}>", "`{}`", "{}\n", "x:{}")
    for number, (kind, make) in enumerate(_SHAPED.items()):
        secret = make(maker)
        yield Planted(kind=kind, text=around[(seed + number) % len(around)].format(secret), secret=secret)

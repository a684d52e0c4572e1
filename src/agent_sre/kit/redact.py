"""Secrets leave every message that people, files or a model may see: one function in front of all of them.

    a secret known by its own shape          ->  <secret:kind>     ghp_…, AKIA…, a JWT, a PEM block, a bcrypt hash
    a value known by the name before it      ->  name=<secret>     password=…, "apiKey": "…", --token …, redis://:…@host

What replaces a secret depends on its kind only, so two texts that differ in nothing but the secret stay equal. Every pattern takes time that is
linear in the text, whoever wrote it: repetitions are bounded, possessive, or begin where no other of the same kind can have begun. Patterns are
only tried on a text that holds one of their hints, because a search for a plain text is far faster than any pattern, and most texts hold none.
"""

# ruff: noqa: E501  (a table: one of them a line)

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_GONE = "<secret>"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to find a secret. A text without any of the `hints` has nothing for the pattern."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    starts: tuple[str, ...] = ()


def _shape(kind: str, pattern: str, *hints: str) -> _Rule:
    return _Rule(hints, re.compile(pattern), f"<secret:{kind}>")


def _begins(kind: str, pattern: str, *starts: str) -> _Rule:
    """A word that begins with one of these texts, all of three characters or more."""
    return _Rule(starts, re.compile(pattern), f"<secret:{kind}>", starts)


def _told(pattern: str, *hints: str) -> _Rule:
    """Group 1 stays, what follows it goes."""
    return _Rule(hints, re.compile(pattern), rf"\g<1>{_GONE}")


# By their own shape. `(?<![\w-])` keeps a prefix from being found within a word, and a run of its own characters from being read once per character.
_SHAPES: tuple[_Rule, ...] = (
    _begins("private-key", r"(?<![\w+])(?:b3BlbnNzaC1rZXktdjE|LS0tLS1CRUdJTi(?!BDRVJUSUZJQ0FUR|BQVUJMSUMg|BUUlVTVEVE))[A-Za-z0-9+/=]{20,}+", "b3BlbnNzaC1", "LS0tLS1CRUdJ"),
    _begins("private-key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{40,}+", "AGE-SECRET-KEY-"),
    _begins("jwt", r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)+", "eyJ"),
    _begins("grafana-api-key", r"(?<![\w-])eyJrIjoi[A-Za-z0-9+/]{40,}+={0,2}", "eyJrIjoi"),
    _begins("aws-access-key-id", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", "AKIA", "ASIA", "ABIA", "ACCA"),
    _begins("gcp-api-key", r"(?<![\w-])AIza[\w-]{35}", "AIza"),
    _shape("gcp-oauth", r"(?<![\w-])(?:ya29\.[\w-]{20,}+|GOCSPX-[\w-]{20,}+|1//0[\w-]{30,}+)", "ya29.", "GOCSPX-", "1//0"),
    _shape("azure-client-secret", r"(?<![\w~.-])[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![\w~-])", "Q~"),
    _begins("github-token", r"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_\w{40,}+)", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    _begins("gitlab-token", r"(?<![\w-])(?:gl(?:pat|dt|rt|cbt|ptt|soat|ft|imt|agent|oas|wt)-[\w-]{20,}+(?:\.[\w.-]{1,40}+)?|GR1348941[\w-]{20,}+)", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "glft-", "glimt-", "glagent-", "gloas-", "glwt-", "GR1348941"),
    _begins("slack-token", r"(?<![\w-])(?:xox[abceoprsd]|xapp|xwfp)-[A-Za-z0-9.-]{10,}+", "xox", "xapp-", "xwfp-"),
    _told(r"(hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)(?!<secret)[A-Za-z0-9+/_-]{8,}+", "hooks.slack"),
    _told(r"(discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{5,25}/)(?!<secret)[\w-]{20,}+", "/webhooks/"),
    _told(r"(\.webhook\.office\.com/webhookb2/)(?!<secret)[^\s\"'<>]{20,}+", "webhook.office.com"),
    _shape("telegram-token", r"(?<![0-9])[0-9]{8,10}:AA[\w-]{32,35}(?![\w-])", ":AA"),
    _begins("stripe-key", r"(?<![A-Za-z0-9])(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}+|whsec_[A-Za-z0-9+/=]{20,}+)", "sk_", "rk_", "whsec_"),
    _shape("twilio-key", r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])", "SK"),
    _shape("sendgrid-key", r"(?<![\w.-])SG\.[\w-]{16,32}\.[\w-]{30,64}(?![\w-])", "SG."),
    _begins("mailgun-key", r"(?<![A-Za-z0-9-])key-[0-9a-f]{32}(?![A-Za-z0-9])", "key-"),
    _shape("mailchimp-key", r"(?<![0-9a-f])[0-9a-f]{32}-us[0-9]{1,2}\b", "-us"),
    _begins("npm-token", r"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])", "npm_"),
    _begins("pypi-token", r"(?<![\w-])pypi-[\w-]{30,}+", "pypi-"),
    _begins("rubygems-key", r"(?<![A-Za-z0-9_])rubygems_[0-9a-f]{48}", "rubygems_"),
    _begins("docker-token", r"(?<![\w-])dckr_(?:pat|oat)_[\w-]{20,}+", "dckr_"),
    _begins("heroku-key", r"(?<![\w-])HRKU-[\w-]{30,}+", "HRKU-"),
    _begins("digitalocean-token", r"(?<![A-Za-z0-9_])do[opr]_v1_[0-9a-f]{64}", "dop_v1_", "doo_v1_", "dor_v1_"),
    _shape("cloudflare-key", r"(?<![\w.-])v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}+", "v1.0-"),
    _shape("github-token", r"(?<![\w.-])v1\.[0-9a-f]{40}(?![0-9a-f])", "v1."),
    _shape("new-relic-key", r"(?<![A-Za-z0-9])(?:NR(?:AK|II|AA|BR|RA|SP|JS)-[A-Za-z0-9]{16,48}|[0-9a-f]{34,36}(?:FFFF)?NRAL)(?![A-Za-z0-9])", "NRAK", "NRII", "NRAA", "NRBR", "NRRA", "NRSP", "NRJS", "NRAL"),
    _begins("grafana-token", r"(?<![A-Za-z0-9_])(?:glsa_\w{32,}+|glc_[A-Za-z0-9+/]{32,}+={0,2})", "glsa_", "glc_"),
    _begins("sentry-token", r"(?<![A-Za-z0-9_])sntry[su]_[A-Za-z0-9+/=_]{30,}+", "sntry"),
    _told(r"(https?://)(?!<secret)[0-9a-f]{32}(?::[0-9a-f]{32})?(?=@[\w.-]{1,200}/)", "@"),
    _shape("vault-token", r"(?<![\w.-])(?:hv[sbr]\.[\w-]{20,}+|s\.[A-Za-z0-9]{24}(?![\w.-]))", "hvs.", "hvb.", "hvr.", " s.", "=s.", ":s.", '"s.'),
    _shape("terraform-token", r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}+", ".atlasv1."),
    _begins("databricks-token", r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-\d)?(?![A-Za-z0-9])", "dapi"),
    _begins("anthropic-key", r"(?<![\w-])sk-ant-[\w-]{16,}+", "sk-ant-"),
    _begins("openai-key", r"(?<![\w-])sk-(?=[A-Za-z_-]{0,64}[0-9])[\w-]{20,}+", "sk-"),
    _begins("huggingface-token", r"(?<![A-Za-z0-9_])(?:hf_|api_org_)[A-Za-z0-9]{30,}+", "hf_", "api_org_"),
    _begins("model-api-key", r"(?<![\w-])(?:gsk_[A-Za-z0-9]{30,}+|pplx-[A-Za-z0-9]{30,}+|r8_[A-Za-z0-9]{30,}+|xai-[A-Za-z0-9]{30,}+)", "gsk_", "pplx-", "r8_", "xai-"),
    _begins("shopify-token", r"(?<![A-Za-z0-9_])shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", "shpat_", "shpca_", "shppa_", "shpss_"),
    _begins("square-token", r"(?<![\w-])(?:sq0[a-z]{3}-[\w-]{22,}+|EAAA[\w-]{56,}+)", "sq0", "EAAA"),
    _begins("atlassian-token", r"(?<![\w-])AT[AC]TT3[\w=-]{50,}+", "ATATT3", "ATCTT3"),
    _begins("linear-key", r"(?<![A-Za-z0-9_])lin_(?:api|oauth)_[A-Za-z0-9]{30,}+", "lin_"),
    _begins("notion-token", r"(?<![A-Za-z0-9_])(?:ntn_[A-Za-z0-9]{40,}+|secret_[A-Za-z0-9]{43}(?![A-Za-z0-9]))", "ntn_", "secret_"),
    _begins("figma-token", r"(?<![\w-])figd_[\w-]{30,}+", "figd_"),
    _begins("postman-key", r"(?<![\w-])PMAK-[0-9a-f]{24}-[0-9a-f]{34}", "PMAK-"),
    _shape("doppler-token", r"(?<![\w.-])dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{36,}+", "dp."),
    _begins("pulumi-token", r"(?<![\w-])pul-[0-9a-f]{40}", "pul-"),
    _begins("fly-token", r"(?<![A-Za-z0-9_])fm[12][ar]?_[A-Za-z0-9+/=_,-]{40,}+", "fm1", "fm2"),
    _begins("planetscale-token", r"(?<![A-Za-z0-9_])pscale_(?:tkn|pw|oauth)_[\w.-]{30,}+", "pscale_"),
    _begins("artifactory-key", r"(?<![A-Za-z0-9])AKCp[A-Za-z0-9]{60,}+", "AKCp"),
    _shape("dynatrace-token", r"(?<![A-Za-z0-9])dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{40,}+", "dt0"),
    _begins("honeycomb-key", r"(?<![A-Za-z0-9])hc[abx](?:ik|lk|mk)_[A-Za-z0-9]{40,}+", "hcaik_", "hcaik_", "hcbik_", "hcxik_", "hcalk_", "hcamk_", "hcxlk_"),
    _begins("sonarqube-token", r"(?<![A-Za-z0-9_])sq[apu]_[0-9a-f]{40}", "sqa_", "sqp_", "squ_"),
    _begins("tailscale-key", r"(?<![\w-])tskey-[a-z]{2,12}-[\w-]{16,}+", "tskey-"),
    _begins("ci-token", r"(?<![A-Za-z0-9_])(?:bk[ua]{2}_[0-9a-f]{40}|CCIPAT_\w{30,}+|sgp_[0-9a-f_]{40,}+)", "bkua_", "CCIPAT_", "sgp_"),
    _begins("alibaba-key", r"(?<![A-Za-z0-9])LTAI[A-Za-z0-9]{12,26}(?![A-Za-z0-9])", "LTAI"),
    _shape(
        "password-hash",
        r"(?<![\w$])\$(?:2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}|apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|[156y]\$[./A-Za-z0-9$=,]{1,64}\$[./A-Za-z0-9]{20,}+"
        r"|argon2(?:id|i|d)\$[A-Za-z0-9+/=,$-]{30,}+|scrypt\$[A-Za-z0-9+/=,$-]{30,}+)|\{S?SHA(?:256|512)?\}[A-Za-z0-9+/]{20,}+={0,2}"
        r"|\bpbkdf2_sha\d{1,3}\$\d{3,8}\$[^\s$]{1,64}\$[A-Za-z0-9+/=]{20,}+",
        "$2", "$apr1$", "$1$", "$5$", "$6$", "$y$", "$argon2", "$scrypt$", "pbkdf2_", "SHA}", "SHA256}", "SHA512}",
    ),
)  # fmt: skip

_DISCORD = _shape("discord-token", r"(?<![\w.-])[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w.-])", ".")
_MAILGUN = _shape("mailgun-key", r"(?<![0-9a-f])[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-f-])", "-")
"""Shapes without a text that begins them; the length of their words tells."""

_ACROSS_LINES: tuple[_Rule, ...] = (
    _shape(
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        "private key",
    ),
    _told(r"(Private-Lines: \d{1,4}\s{1,4})(?!<secret)(?:[A-Za-z0-9+/=]{1,100}+\s?)++", "private-lines"),
    _told(r"(\b(?:machine\s{1,4}\S{1,255}|default)\s{1,4}login\s{1,4}\S{1,255}\s{1,4}password\s{1,4})(?!<secret)\S+", "login"),
    # the environment of a container, as YAML and as JSON
    _told(r"((?i:[\"']?name[\"']?[ \t]{0,4}:[ \t]{0,4}[\"']?[\w.-]{0,64}?(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|private_?key"
          r"|secret_?key|credentials?|_pass|_dsn|_auth)[\"']?\s{0,2},?\s{1,40}?|[\"']name[\"']:[\"'][\w.-]{0,64}?(?:password|passwd|passphrase|pwd|secret|token|api_?key"
          r"|access_?key|private_?key|secret_?key|credentials?|_pass|_dsn|_auth)[\"'],)(?i:[\"']?value[\"']?[ \t]{0,4}:[ \t]{0,4}))(?!<secret|\"<secret)"
          r"(?:\"(?:[^\"\\\n]++|\\.)*+\"|'[^'\n]*+'|[^\s,}]+)", "value"),
    # a YAML block
    _told(r"((?i:(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key):[ \t]{1,4}[|>][+-]?[ \t]{0,4}\n[ \t]{1,40}))(?!<secret)\S[^\n]*+", ": |", ": >"),
)  # fmt: skip
"""What more than one line tells."""

# By what stands before them.
_QUOTED = r"\\{1,7}\"(?!<secret)[^\"\n]*+\"|\"(?!<secret)(?:[^\"\\\n]++|\\.)*+\"|'(?!<secret)(?:[^'\\\n]++|\\.)*+'|`(?!<secret)[^`\n]*+`"
_SIGN_AND_VALUE = re.compile(
    # Nothing may stand between the word and the sign but the quotes of JSON, so that `max_tokens=700` and `secretName: x` stay.
    r"((?:\\{0,7}[\"'`])?[ \t]{0,8}(?:=>|:=|=(?!>)|:(?!=)|%3[dD])[ \t]{0,8})"
    rf"({_QUOTED}|(?![{{(]|[\"'`\\]{{0,8}}<secret)[^\s,;&]+)"
)
_NO_SECRET = frozenset(
    """null none nil true false yes no on off empty unset undefined missing required optional invalid expired unknown changed rotated revoked not is
    was has and or the a an for in of to from with [redacted] redacted <redacted> [filtered] [masked] masked [hidden] hidden **** *** ***** ****** ********
    xxx xxxx xxxxx xxxxxx unexpected unauthorized forbidden denied failed failure error ok success valid renewed refreshed created updated deleted
    found mismatch malformed bearer basic eof """.split()  # noqa: SIM905  (a page of quotes would say no more)
)
"""What stands after such a name and is none: `token: expired`, `password=null`."""


_MIXED = re.compile(r"(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])[A-Za-z0-9+/_=.~-]+")
_UUID_OR_DIGEST = re.compile(r"(?:sha(?:1|256|512)[:-])?[0-9a-f]{7,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{14,}", re.IGNORECASE)


def _looks_random(value: str) -> bool:
    """Whether a value has the disorder of a generated key: long, letters of both cases and digits in no order. Names and paths have not."""
    if len(value) < 16 or not _MIXED.fullmatch(value) or value.lower() == value:
        return False
    kinds = ["d" if one.isdigit() else "u" if one.isupper() else "l" if one.islower() else "-" for one in value]
    turns = sum(one != before for one, before in zip(kinds[1:], kinds[:-1], strict=True))
    return turns * 3 >= len(value) and len(set(value)) * 2 >= min(len(value), 32)


_DATABASES = (
    "postgres", "postgresql", "mysql", "mariadb", "mongodb", "redis", "rediss", "amqp", "amqps", "mssql", "sqlserver", "clickhouse", "cockroachdb", "ldap",
    "ldaps", "kafka", "nats", "smtp", "smtps", "ftp", "ftps", "sftp", "srv", "asyncpg", "psycopg", "psycopg2", "pymysql", "aiomysql",
)  # fmt: skip


def _in_address(match: re.Match[str]) -> str:
    """`://user:password@host`. The password of a database's address may hold a slash; an address of the web has its path from there."""
    address, before = match[2], match.string[max(0, match.start() - 16) : match.start()].lower()
    if "/" in address and (not before.endswith(_DATABASES) or _PORT.match(address)):
        head, _, _ = address.partition("/")
        return f"{match[1]}{_GONE}{address[head.rindex('@') :]}" if "@" in head else match[0]
    return f"{match[1]}{_GONE}"


_PORT = re.compile(r"\d{1,5}[/?]")

_BEFORE: tuple[_Rule, ...] = (
    _Rule(("://",), re.compile(r"(://[^\s/:@\"'<>]{0,256}:)(?!<secret)([^\s\"'<>]{1,256})(?=@)"), _in_address),
    _told(r"((?<![\w.-])[\w.-]{1,64}:)(?!<secret)[^\s/@:\"'<>]{1,128}(?=@(?:tcp|unix|udp)\()", "@tcp(", "@unix(", "@udp("),
    _told(r"(\bjdbc:oracle:[a-z0-9]{1,8}:[\w$#]{1,64}/)(?!<secret)[^\s/@\"'<>]{1,128}(?=@)", "jdbc:oracle"),
    _told(r"((?i:\b(?:bearer|basic|digest|negotiate|ntlm|genie-?key|splunk|apikey|api-key)) {1,4})(?!<secret)(?:(?=[a-z._~+/-]{0,80}[A-Z0-9=])|(?=[a-z._~+/-]{16}))"
          r"[A-Za-z0-9._~+/=-]{8,}+", "bearer", "basic", "digest", "negotiate", "ntlm", "genie", "splunk", "apikey", "api-key"),
    _told(r"((?i:\bauthorization(?:\\{0,4}[\"'])?\s{0,4}[:=]\s{0,4}(?:\\{0,4}[\"'])?(?:[a-z0-9-]{3,20} )?+))(?!<secret)"
          r"[^\s\"',;\\]{4,}+", "authorization"),
    _told(r"((?i:\bSignature=|\bX-Amz-(?:Signature|Credential|Security-Token)=|\bX-Goog-(?:Signature|Credential)=|[?&;]sig=))(?!<secret)[A-Za-z0-9%+/=_.-]{16,}+",
          "signature=", "x-amz-", "x-goog-", "sig="),
    _told(r"((?i:\bset-cookie|\bcookie)(?:\\{0,4}[\"'])?\s{0,4}[:=]\s{0,4}(?:\\{0,4}[\"'])?)(?!<secret)[^\s=;\"'\\]{1,80}=[^\n\"'\\]+", "cookie"),
    _told(r"((?i:\b(?:jsessionid|phpsessid|asp\.net_sessionid|aspsessionid[a-z]{0,8}|connect\.sid|laravel_session|_?session_?id|_[a-z]{1,20}_session"
          r"|sessionid|sid|csrf[_-]?token|xsrf[_-]?token))(?:\\{0,4}[\"'])?[ \t]{0,4}[=:][ \t]{0,4}(?:\\{0,4}[\"'])?)(?!<secret)"
          r"(?=[A-Za-z_-]{0,60}[0-9%])[A-Za-z0-9%+/=_.:~-]{12,}+", "sessionid", "session_id", "sessid", "_session", "connect.sid", "sid=", "sid:", "csrf", "xsrf"),
    _told(r"((?i:\\{0,4}[\"'](?:auth|_auth|_authToken|identitytoken|registrytoken)\\{0,4}[\"']\s{0,4}:\s{0,4}\\{0,4}[\"']))(?!<secret)[A-Za-z0-9+/=_.-]{8,}+", "auth\"", "auth'", "auth\\", "authtoken", "identitytoken", "registrytoken"),
    _told(r"((?i:\b_auth(?:Token)?\s{0,4}=\s{0,4}))(?!<secret)[^\s\"']{8,}+", "_auth"),
    _told(r"((?i:\b(?:client-key-data|client_key_data|tls\.key)(?:\\{0,4}[\"'])?[ \t]{0,8}[:=]\s{0,8}(?:\\{0,4}[\"'])?))(?!<secret)[A-Za-z0-9+/=]{16,}+", "key-data", "key_data", "tls.key"),
    _told(r"((?i:AccountKey|SharedAccessKey|SharedAccessSignature|SharedSecretKey)=)(?!<secret)[^\s;\"'<>]{8,}+", "accountkey=", "sharedacc", "sharedsec"),
    # --password x, --db-token=x; the name ends in one of the words, so that `--token-file x` stays
    _told(r"((?<![\w-])--?(?:[A-Za-z0-9]{1,20}[-_.]){0,4}(?i:password|passwd|passphrase|pass|pwd|secret|token|api-?key|access-?key|secret-?key|private-?key"
          r"|auth-?key|encryption-?key|credentials?)[ \t=]{1,4})(?!<secret|[-<$])(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s\"']+)",
          "-pass", "-pwd", "-secret", "-token", "-api", "-access", "-key", "-auth", "-private", "-encryption", "-cred", "password ", "token "),
    # curl -u user:password
    _told(r"((?<![\w-])(?:-u|--user|--proxy-user)[ =]{1,4}[\"']?[\w.@+-]{1,64}:)(?!<secret)[^\s\"'@]+", "-u", "-user"),
    _told(r"((?i:<(?:[\w.-]{1,40}:)?[\w.-]{0,40}?(?:password|passwd|passphrase|pwd|secret|token|api-?key)>))(?!<)[^<\n]+(?=</)", "</"),
    _told(r"((?i:\bidentified (?:with \w{1,40} )?(?:by|as)(?: password)?|\b(?:with|encrypted) password|\bset password =?) {1,4})(?!<secret)'(?!<secret)(?:[^'\\\n]++|\\.)*+'",
          "identified", "password "),
)  # fmt: skip

_NAMES = ("password", "passwd", "passphrase", "passcode", "_pass", "-pass", ".pass", "pwd", "secret", "token", "credential", "credentials")
"""No boundary in front: DB_PASSWORD and mysqlpwd are names too."""

_KEYS = (
    "api", "access", "private", "secret", "signing", "encryption", "master", "auth", "app", "application", "routing", "integration", "service", "license",
    "client", "shared", "account", "deploy",
)  # fmt: skip
_WEAK_NAMES = ("key", "key_id", "auth", "salt", "seed", "signature", "hmac", "cred", "creds", "_pat", "cookie", "session")
"""What stands after these is a secret where it looks as if a machine had made it up."""


def _by_names(text: str, lower: str) -> str:
    # A search for each word and one pattern behind each place where it stands: a pattern that begins with any of them takes fifty times as long.
    ends = [(end, word) for word in (*_NAMES, *_WEAK_NAMES) if word in lower for end in _ends(lower, word)]
    if not ends:
        return text
    kept: list[str] = []
    done = looked_at = weakly = 0
    for end, word in sorted(ends):
        # what was read behind one name is not read again behind the next one
        if (
            end < max(done, looked_at, weakly if word in _WEAK_NAMES else 0)
            or _OURS.match(text, max(0, end - 7))
            or (match := _SIGN_AND_VALUE.match(text, end)) is None
        ):
            continue
        value = match[2]
        if not _is_secret(word, lower[max(0, end - 20) : end - 3], value):
            looked_at, weakly = (looked_at, match.end()) if word in _WEAK_NAMES else (match.end(), weakly)
            continue
        quote = value[: len(value) - len(value.lstrip("\\\"'`"))]
        if len(quote) * 2 > len(value) or not value.endswith(quote):
            quote = ""
        kept += [text[done : match.end(1)], quote, _GONE, quote]
        done = match.end()
    return "".join([*kept, text[done:]])


def _ends(lower: str, word: str) -> Iterator[int]:
    at = lower.find(word)
    while at >= 0:
        at += len(word)
        yield at
        at = lower.find(word, at)


def _is_secret(word: str, before: str, value: str) -> bool:
    bare = value.strip("\\\"'`)}].")
    if word in _NAMES or (word == "key" and before.rstrip("_-").endswith(_KEYS)) or (word == "key_id" and "private" in before):
        return bool(bare) and bare.lower() not in _NO_SECRET and not bare.startswith(("${", "$("))
    bare = bare.rstrip(":<>|!?")
    return _looks_random(bare) and not _UUID_OR_DIGEST.fullmatch(bare)


_OURS = re.compile(r"<secret:[a-z-]{2,30}>")

_SHAPES_BY_START = tuple(rule for rule in _SHAPES if rule.starts)
_SHAPES_BY_HINT = tuple(rule for rule in _SHAPES if not rule.starts)
_STARTS = frozenset(start[:3] for rule in _SHAPES for start in rule.starts)

KINDS = tuple(
    sorted(
        {
            rule.replacement[8:-1]
            for rule in (*_SHAPES, _DISCORD, *_ACROSS_LINES)
            if isinstance(rule.replacement, str) and rule.replacement.startswith("<secret:")
        }
    )
)
"""The kinds that have a shape of their own."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{11,}")


_LONG_TEXT = 2_000


def redact(text: str) -> str:
    """The text with whatever looks like a secret replaced by `<secret>` or, where its shape tells what it is, `<secret:kind>`."""
    text = _by(_ACROSS_LINES, text, text.lower())
    if len(text) < _LONG_TEXT or "\n" not in text:
        return _in_line(text)
    # Somewhere in a long text stands every hint. Line by line most of them are absent, and the same line comes often.
    lines = text.split("\n")
    done = {line: _in_line(line) for line in dict.fromkeys(lines)}
    return "\n".join([done[line] for line in lines])


def _in_line(text: str) -> str:
    words = _WORD.findall(text)
    if any(word[:3] in _STARTS for word in words):
        text = _by(_SHAPES_BY_START, text, text)
    if any(word[0] in "MNO" and 22 < len(word) < 29 for word in words):
        text = _by((_DISCORD,), text, text)
    if any(len(word) == 50 for word in words):
        text = _by((_MAILGUN,), text, text)
    text = _by(_SHAPES_BY_HINT, text, text)
    text = _by(_BEFORE, text, text.lower())
    lower = text.lower()
    # one letter of Turkish has two in lower case, and the places must be the same
    return _by_names(text, lower if len(lower) == len(text) else "".join(one.lower() if one.isascii() else one for one in text))


def _by(rules: tuple[_Rule, ...], text: str, searched: str) -> str:
    for rule in rules:
        for hint in rule.hints:
            if hint in searched:
                text = rule.pattern.sub(rule.replacement, text)
                break
    return text


_WHOSE_VALUE_IS_ONE = ("password", "passwd", "passphrase", "api_key", "apikey", "access_token", "auth_token", "bearer_token")
"""Names whose value is a secret whatever it looks like. `secret` is none of them: that is how a Kubernetes Secret is named."""


def redact_named(name: str, text: str) -> str:
    """`redact` for the value of a label, a variable or a field, which its name may tell to be a secret: `password: hunter2`."""
    if text and name.lower().endswith(_WHOSE_VALUE_IS_ONE):
        return redact(f"{name}={text}")[len(name) + 1 :]
    return redact(text)

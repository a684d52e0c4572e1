"""The words. A sentence may use what asserts nothing, and otherwise only what its facts say, or what follows from what they say.

Closed on purpose: a word that is in none of these lists and in none of the facts drops its sentence. Extending a list is safe only where the word can be
true of every fact that supports the rest of the sentence; a word that would add a claim belongs into `FOLLOWS`, with what it follows from.
"""

# ruff: noqa: E501 - lists of words and sentences, one thing a line
from __future__ import annotations

from functools import lru_cache


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CONTRACTIONS = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
"""What stands before n't, where cutting n't off does not give the word."""

PHRASES: tuple[tuple[str, str], ...] = (
    (r"\b(?:the\s+)?(?:most\s+)?(?:likely|probable|root|main|underlying|immediate|apparent|\s)*\bcause\s+of\s+(.{3,120}?)\s+(?:is|was|appears to be|seems to be|are)\b", r"\1 becauseof"),
    (r"\b(?:is|was|are|were)\s+(?:likely\s+|probably\s+)?the\s+(?:likely |root |probable |main |underlying )*cause of\b|\bresponsible for\b", "ledto"),
    (r"\broot[ -]causes?\b", "rootcause"),
    (r"\b(?:because of|due to|owing to|as a (?:direct )?(?:result|consequence) of|(?:being )?(?:caused|triggered|explained|driven|provoked) by|(?:results?|resulted|resulting|stems?|stemmed|stemming|comes?|came) from)\b", "becauseof"),
    (r"\b(?:(?:which|that|this|and|it)\s+)?(?:then\s+)?(?:has\s+|have\s+)?(?:leads?|led|leading) to\b|\b(?:(?:which|that|this|and|it)\s+)?(?:results?|resulted|resulting) in\b", "ledto"),
    (r"\b(?:which |that |this |and )?(?:caused|causes|causing|triggered|triggers|triggering|explains|explained)\b", "ledto"),
    (r"\b(?:as a result|as a consequence|for this reason|that is why|which is why)\b", "therefore"),
    (r"\b(?:soon|shortly|right|immediately|just)\s+(after|before)\b", r"\1"),
    (r"\b(?:runs?|ran|running) out of memory\b|\bout[- ]of[- ]memory(?: errors?)?\b|\boutofmemory(?:error)?\b", "oom"),
    (r"\boom[- ]?kill(?:ed|s|er|ing)?\b", "oom killed"),
    (r"\bno space left(?: on(?: the)? device)?\b", "nospace"),
    (r"\b(?:ran|runs?|running) out of (?:disk )?space\b", "nospace"),
    (r"\b(?:ran|runs?|running) out of\b|\bused up\b", "exhausted"),
    (r"\bout of (?=\d|one\b|two\b|three\b|four\b|five\b|six\b|seven\b|eight\b|nine\b|ten\b|twelve\b|the\b)", "of "),
    (r"\bout of\b", "exhausted"),
    (r"\b(?:fills?|filled|filling) up\b", "filling"),
    (r"\bcrash[- ]?loop(?:ing|s|ed)?(?:[- ]?back[- ]?off)?\b", "crashloop"),
    (r"\bback(?:ing|ed)?[- ]?off\b", "backoff"),
    (r"\bimage ?pull\b", "image pull"),
    (r"\berr image pull\b|\berrimagepull\b", "image pull failed"),
    (r"\b(?:timed|times|timing|time)[- ]outs?\b|\bdeadline exceeded\b", "timeout"),
    (r"\bno such host\b", "nxdomain"),
    (r"\bno route to host\b", "noroute"),
    (r"\bnot[ -]found\b", "notfound"),
    (r"\broll(?:ed|s|ing)?[- ]?out\b", "rollout"),
    (r"\broll(?:ed|s|ing)?[- ]?back\b", "rollback"),
    (r"\b(?:can ?not|could not|(?:is|are|was|were) (?:unable|not able) to|unable to)\b", "cannot"),
    (r"\bfail(?:s|ed|ing|ure)? to\b", "failto"),
    (r"\b(?:no longer|not any ?more)\b", "not"),
    (r"\bunready\b|\bnotready\b", "not ready"),
    (r"\bunavailable\b", "not available"),
    (r"\bunhealthy\b", "not healthy"),
    (r"\bunschedulable\b", "not schedulable"),
    (r"\bunbound\b", "not bound"),
    (r"\bnon-zero\b|\bnonzero\b", "nonzero"),
    (r"\bresponse times?\b", "latency"),
    (r"\bhealth[- ]?checks?\b", "probe"),
    (r"\bunder (memory|disk|cpu|pid) pressure\b", r"with \1 pressure"),
    (r"\b(memory|disk|pid)pressure\b", r"\1 pressure"),
    (r"\bover the (?:last|past|course of the last)\b", "in the last"),
    (r"\bworking set\b", "workingset"),
    (r"\b(?:ha[sd] |have )?(?:lost|loses|losing|lose) (?:its|their|the|a)\b", "without"),
    (r"\b(?:in|on|within) (?:the|this|our) (?:cluster|environment|system)\b", ""),
    (r"\b(?:about|going|bound|set|expected|likely|due|scheduled|meant|supposed) to\b(?= [a-z])(?! \d)", "will"),
    (r"\bcompared (?:to|with)\b|\bas opposed to\b|\bversus\b|\bvs\.?(?=\s)|\binstead of (?:the )?usual\b", "against"),
    (r"\bset to\b|\bset at\b", "of"),
    (r"\bas well as\b|\balong with\b|\btogether with\b|\bin addition to\b", "and"),
    (r"\bat the same time\b", "and"),
    (r"\bbefore that\b", "previously"),
)  # fmt: skip
"""Said in several words or in one: brought to one, in facts and sentences alike. Order matters: longer ones first."""

COMPOUNDS = {
    "read-only": "readonly", "write-ahead": "write ahead", "high-memory": "high memory", "well-known": "known", "in-memory": "memory",
    "on-disk": "disk", "restart-count": "restart count", "cpu-bound": "cpu", "tls-handshake": "tls handshake", "end-to-end": "total",
    "short-lived": "short", "crash-looping": "crashloop", "p99-latency": "p99 latency", "error-rate": "error rate", "re-started": "restarted",
    "fail-over": "failover", "start-up": "startup", "shut-down": "shutdown", "name-resolution": "name resolution",
}  # fmt: skip
"""Words with a dash that are English, not names."""

PLAIN_CAPITALS = _set(
    "cpu dns oom http https tls ssl tcp udp api ram gc io iops sql db url ttl jvm grpc rpc utc sre hpa pvc pv vm os ip ssd nfs csi cni pid fs slo sla qps rps ok and the not no is"
    " all it in on of to for was with memory disk error critical warning info fatal debug warn now unknown pod node service image high low never only"
)
"""All-capital words that are words: `CPU`. Others (`ECONNREFUSED`) are names."""

_IRREGULAR = {
    word: base
    for base, words in {
        "rise": "rose risen rising", "fall": "fell fallen", "grow": "grew grown growth", "go": "went gone goes", "run": "ran running", "lose": "lost loses losing loss",
        "begin": "began begun", "keep": "kept", "hang": "hung", "write": "wrote written writing", "find": "found", "say": "said", "be": "is are was were been being am",
        "have": "has had having", "do": "does did done doing", "get": "got gotten", "become": "became", "take": "took taken", "make": "made", "see": "saw seen",
        "shrink": "shrank shrunk", "memory": "mem ram", "config": "configuration configurations configmap configmaps", "cert": "certificate certificates certs",
        "latency": "latencies", "deploy": "deployed deploys deploying", "deployment": "deployments", "expired": "expired", "ready": "readiness-state", "error": "err errs",
        "request": "req reqs", "schedul": "schedule scheduled scheduling scheduler schedulable", "resolv": "resolve resolved resolves resolving resolution resolver",
        "refus": "refuse refused refuses refusing refusal", "evict": "evicted eviction evictions evicting", "terminat": "terminate terminated terminates terminating termination",
        "exceed": "exceeded exceeds exceeding", "exhaust": "exhausted exhausts exhausting exhaustion", "throttl": "throttle throttled throttling throttles",
        "connect": "connection connections connected connecting connects", "fail": "failed failing fails failure failures", "crash": "crashed crashing crashes",
        "decreas": "decrease decreased decreases decreasing", "increas": "increase increased increases increasing", "replic": "replica replicas", "replicat": "replication replicating",
        "depend": "depends depended depending dependency dependencies dependent", "restart": "restarted restarting restarts", "kill": "killed kills killing killer",
        "expire": "expires expiring expiry", "usag": "usage use uses used using utilisation utilization utilised utilized usages", "delet": "delete deleted deletes deletion",
        "reject": "rejected rejects rejecting rejection", "den": "denied deny denies denial", "elect": "election elections elected", "leader": "leaders leadership",
        "authoriz": "authorization", "scal": "scale scaled scaling scales", "autoscal": "autoscaler autoscaling", "capac": "capacity", "quer": "query queries",
        "retr": "retry retries retried retrying", "repl": "reply replies replied", "satur": "saturated saturation saturating saturates", "complet": "complete completed completes completion",
        "rollout": "rollouts", "rollback": "rollbacks", "start": "started starting starts", "startup": "startups", "pend": "pending", "provision": "provisioned provisioning provisioner",
        "queu": "queue queues queued queueing", "lag": "lags lagging lagged", "stop": "stopped stopping stops", "drop": "dropped dropping drops", "slow": "slower slowly slowness slowed slowing",
        "mount": "mounted mounting mounts", "attach": "attached attaching attachment", "bind": "bound binding", "spik": "spike spiked spikes spiking", "surg": "surge surged surges surging",
        "pressur": "pressure", "handshak": "handshake handshakes", "creat": "create created creates creating creation", "remov": "remove removed removes removal", "chang": "change changed changes changing",
        "announc": "announced", "updat": "update updated updates updating", "releas": "release released releases releasing", "upgrad": "upgrade upgraded", "downgrad": "downgrade downgraded",
        "replac": "replace replaced replaces replacing replacement", "alloc": "allocate allocated allocation allocations allocatable", "leak": "leaked leaking leaks", "full": "fully", "fill": "filled filling fills",
        "empt": "empty emptied", "health": "healthy healthier", "avail": "available availability", "stabl": "stable", "servic": "service services", "databas": "database databases", "db": "dbs",
        "imag": "image images", "nam": "name names named", "volum": "volume volumes", "storag": "storage", "messag": "message messages", "respons": "response responses", "respond": "responded responding responds",
        "nod": "node nodes", "spac": "space", "packet": "packets", "rout": "route routes routing", "declin": "decline declined declining", "reduc": "reduce reduced reduces reduction", "doubl": "doubled doubles doubling double",
        "halv": "halved", "tripl": "tripled triple", "permit": "permission permissions permitted", "valid": "valid validity", "invalid": "invalid", "reach": "reached reaches reaching", "hit": "hits hitting",
        "issu": "issue issues", "caus": "cause causes", "sourc": "source sources", "idl": "idle", "cach": "cache caches cached", "lat": "late", "miss": "missing misses missed", "exit": "exited exits exiting",
        "panic": "panicked panics panicking", "los": "", "probl": "problem problems", "degrad": "degraded degrading degradation degrade", "unstabl": "unstable", "affect": "affected affects affecting",
    }.items()
    for word in words.split()
}  # fmt: skip


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The word without its ending, so that `restarted` and `restarts` meet. Opposites never meet: `unready` keeps its `un`."""
    word = word.casefold()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3:
        return word
    for suffix, kept in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(suffix) and len(word) > len(suffix) + 2:
            return stem(word[: -len(suffix)] + kept)
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return stem(word[:-1])
    for suffix in ("ing", "ed"):
        if word.endswith(suffix) and len(word) > len(suffix) + 2 and any(vowel in word[: -len(suffix)] for vowel in "aeiouy"):
            base = word[: -len(suffix)]
            base = base[:-1] if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "sl" else base
            return base.removesuffix("e")
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


NEUTRAL = _stems(
    # articles, pronouns, prepositions, conjunctions, copulas
    "the a an this that these those it its itself they them their is are was were be been being am has have had having do does did of in on at to for with by from as and or but while"
    " which who whose where when than there here also too into onto within during between among via per against about around across toward towards upon through"
    # degrees that claim nothing beside a number
    " approximately roughly exactly just quite rather about already still yet either"
    # hedges
    " may might could likely probably possibly perhaps apparently appear appears seem seems suggest suggests indicate indicates consistent presumably evidently possible probable"
    # telling
    " show shows showing shown report reports reported reporting say says said see seen observe observed indicates indicating confirm confirms confirmed reveal reveals"
    " note noted find found measure measured record recorded display according imply implies evident evidence signal signals finding findings"
    # nouns that every measurement has
    " value values level levels amount figure figures state status condition reading usage use used using consumption rate count number time times moment"
    " trend pattern item current currently now overall namely specifically alert incident event events situation behaviour behavior detail case"
    # copular verbs
    " become became get gets got keep keeps kept remain remains remained stay stays stayed go goes went come comes came turn turned stand stands stood sit sits hold experience"
    " experienced experiencing experiences suffer suffers suffering suffered face faces facing faced encounter encounters encountered encountering undergo happen happens happened occur occurs occurred"
    " give gives given include includes including contain contains have take takes taken reach put puts end ends ended return returns returned name named result results"
    # time and order without a claim of their own; what they join is checked
    " ago since until meanwhile later earlier previously before after once back own"
)
"""Words that assert nothing specific. Function words, hedges, ways of telling, and nouns that fit each measurement."""

NEGATIONS = _set("not no never none without cannot neither nor nothing nobody lacks lack lacking failto hardly barely")
"""What turns the words after it into their opposite."""

CANNOT = _set("cannot failto")
"""Negations that a fact may also tell by `failed`."""

HYPOTHETICAL = _set(
    "can will would if unless predict predicted predicts forecast projected expected expect planned should must shall soon eventually otherwise"
)
"""A fact with one of these tells of what is not (yet) so: a sentence about it needs the same word."""

HEDGES = _set(
    "may might could likely probably possibly perhaps seem seems appear appears suggest suggests possible probable looks presumably apparently"
)

UNIVERSAL = {
    word: family
    for family, words in {
        "all": "all both every each entire whole everything everywhere everyone always any completely entirely totally fully 100%",
        "only": "only solely exclusively alone just-one sole single",
        "most": "most mostly majority largest biggest highest main mainly primarily largely",
        "first": "first initially originally initial",
        "last": "last latest newest final finally",
        "least": "lowest smallest fewest least minimum",
        "max": "peak maximum max peaked",
        "other": "other others another else",
        "same": "same identical equal equally",
        "no": "none nobody nothing nowhere",
        "ever": "never ever",
    }.items()
    for word in words.split()
}  # fmt: skip
"""Words that speak of more than one thing: they need the same family in the fact."""

UP = _stems(
    "rise rose risen grow grew growth increase increased climb climbed climbing spike spiked surge surged jump jumped soar soared escalate escalated worsen worsened accumulate upward rising growing increasing"
)
DOWN = _stems(
    "fall fell fallen decrease decreased decline declined drop dropped shrink shrank dip dipped reduce reduced sink sank lower lowered downward improved improve recede receded"
)
"""Directions of what is measured."""

HIGHER = _set("above exceed exceeds exceeded exceeding over beyond surpass surpassed surpasses surpassing higher greater more bigger larger outgrew")
LOWER = _set("below under less lower fewer smaller beneath within")
AT = _set("reached reaching reaches hit hits hitting near nearly close almost approaching approaches approached at-limit nearing")
COMPARED = _set(
    "limit limits threshold maximum quota request requests capacity normal usual baseline target objective expected average typical minimum"
)

POSITIVE = _stems(
    "ready available healthy running run ok fine normal stable working work succeed succeeded success successful successfully recover recovered resolved complete completed bound up reachable online serving operational valid alive responsive responding"
)
"""States that are good. A key (`available=0/3`) does not assert them."""

SEVERAL = {"multiple": 2, "several": 2, "repeatedly": 2, "repeated": 2, "many": 3, "numerous": 3, "again": 2, "times": 0, "frequently": 3, "frequent": 3, "continuously": 3, "constantly": 3, "continually": 3}  # fmt: skip
STEADY = _set("steadily gradually continuously steady gradual slowly")

TROUBLE = _stems(
    "error fail crash crashloop backoff oom kill evict timeout refuse reject cannot exhausted full nospace unreachable down slow throttle expired pending nxdomain notfound missing denied forbidden"
    " unauthorized panic fatal exception deadlock leak pressure lost restart critical warning invalid failto noroute not exceed saturated stuck overload degraded abnormal anomaly spike mismatch stall lag high"
)
WEAK = _stems(
    "problem problems issue issues trouble troubled unstable instability affected affecting impact impacted impacts degraded degradation disruption disrupted struggling struggle abnormal unusual anomaly wrong symptom symptoms"
)
"""Words for any trouble: they need a fact that tells of some."""

CAUSE = _stems("rootcause cause reason explanation")
"""Words that say which of the facts is to blame: that is the chosen hypothesis' to say."""

FAMILIES: tuple[frozenset[str], ...] = tuple(
    _stems(words)
    for words in (
        "disk filesystem storage",
        "full exhausted depleted",
        "rollout deploy deployment release released",
        "error errors",
        "latency duration delay",
        "usual normal baseline typical normally usually",
        "certificate cert",
        "configuration config setting settings",
        "queue backlog",
        "lag behind",
        "stuck hung hang stall stalled",
        "missing absent",
        "log logs",
        "probe probes",
        "liveness livenessprobe",
        "readiness readinessprobe",
        "database db",
        "replica replicas",
        "exit exited",
        "start started begin began begun",
        "create created make made",
        "volume pvc claim persistentvolumeclaim pv",
        "quota resourcequota",
        "unauthorized 401",
        "forbidden 403",
        "traffic load requests request",
        "throttled throttling",
        "secs seconds",
        "autoscaler hpa horizontalpodautoscaler",
        "limit limits cap maximum",
        "max maximum",
        "change changed modified modification edit edited",
        "update updated",
        "terminate terminated",
        "dependency depends depend upstream downstream",
        "call calls called calling",
        "expire expires expiring",
        "pull pulled pulling",
    )
)
"""Words of one meaning, both ways."""

FOLLOWS: dict[str, frozenset[str]] = {
    stem(fact): _stems(said)
    for fact, said in {
        "oom": "memory exhausted exhaust ram oom fail",
        "oomkilled": "memory oom kill killed terminated exhausted",
        "kill": "terminate terminated stopped",
        "crashloop": "crash crashes crashing restart restarting loop fail failing",
        "crash": "fail failing",
        "panic": "crash crashed error fail",
        "line": "time",
        "fatal": "error",
        "exception": "error",
        "backoff": "fail failing failed",
        "nospace": "full disk space exhausted storage filesystem",
        "nxdomain": "dns lookup host resolve resolved resolution fail failing notfound name",
        "lookup": "dns resolve resolution",
        "servfail": "dns fail error resolve resolution",
        "noroute": "unreachable network route",
        "refused": "unreachable rejected fail failing",
        "timeout": "unreachable fail failing slow",
        "cannot": "fail failing failed failure",
        "failto": "fail failing failed failure",
        "error": "fail failing failed failure",
        "x509": "certificate tls",
        "certificate": "tls",
        "forbidden": "denied permission rejected",
        "unauthorized": "authentication rejected denied",
        "denied": "permission rejected",
        "notfound": "missing",
        "workingset": "memory",
        "rss": "memory",
        "request": "traffic call",
        "latency": "response",
        "pod": "container",
        "evicted": "removed terminated",
        "rollout": "new version change changed update updated deployment",
        "deploy": "new version change changed update updated rollout",
        "release": "new version change changed rollout",
        "image": "version",
        "configmap": "config configuration",
        "overload": "overloaded load",
        "write": "log logs logged",
        "down": "unreachable",
        "fs": "disk filesystem",
        "etcd": "etcd",
        "overcommit": "memory",
        "failed": "fail",
        "stale": "old",
        "mismatch": "differ",
        "scale": "replica",
        "throttle": "cpu",
    }.items()
}
"""What else a sentence may say where a fact says the word on the left. One way only."""

ADVICE = _set(
    "restart rollback roll run delete remove downgrade upgrade install apply scale increase decrease reduce raise lower set add check verify investigate review consider try use execute"
    " kubectl helm curl ssh sudo drain cordon evict patch edit change update deploy redeploy revert rollout stop start disable enable kill reboot contact call email page notify open click visit download fix"
    " ensure monitor look examine inspect inspecting please ignore forget disregard clear free clean create replace configure allow grant approve make let give send escalate wait rotate renew flush purge exec"
    " recreate resize expand extend tune adjust migrate move promote fail failover rerun retry pull push reset reload bounce cancel pause resume suspend unset wipe format terminate print echo cat rm tail see go"
)
"""Verbs that begin a recommendation."""

ADVISING = _set(
    "should must recommend recommended recommends advise advised suggestion please ought immediately urgently remedy mitigation fix fixed fixes fixing workaround try kubectl helm curl sudo"
)
FIRST_PERSON = _set(
    "i me my mine we us our ours you your yours i'm i've assistant prompt instruction instructions model system-prompt ai user's language-model"
)
QUESTIONS = _set("why who whom how what")

FUNCTION_WORDS = _set(
    "the a an is are was were has have had of in on at to for with by from as and or but not it its this that which because since after before while no been be"
)

COMMON = _stems(
    "connection connections depth device packet packets file files table line lines kernel revision consumer producer user group account permission key token read write heartbeat election term manifest tag registry"
    " digest header body code statuscode status transaction session thread threads process processes socket port address host path variable environment value interface retransmit ratio total average heap space"
    " leader goroutine goroutines fds descriptor window buffer index row column query statement backup snapshot partition topic message messages broker offset bytes cores inode inodes block blocks sector container"
    " target rule series sample samples label labels client clients server servers peer peers backend frontend load balancer proxy gateway ingress egress endpoint endpoints route interface zone region member members"
    " receive transmit send sent received accept accepted open opened close closed retry schedule plan allocatable posting post kubelet controller operator admission webhook order acme activity fsync wal"
)
"""Nouns and verbs of the trade that are nobody's name."""

KNOWN = frozenset().union(
    COMMON,
    NEUTRAL,
    TROUBLE,
    WEAK,
    CAUSE,
    POSITIVE,
    UP,
    DOWN,
    *FAMILIES,
    FOLLOWS,
    *FOLLOWS.values(),
    {stem(word) for word in (*UNIVERSAL, *SEVERAL, *NEGATIONS, *HYPOTHETICAL, *HIGHER, *LOWER, *AT, *COMPARED)},
)
"""Every stem that is a word here. After `pod` or `service` such a word is no name, unless it stands there as a label's value."""

DENIES: dict[str, frozenset[str]] = {
    stem(fact): _stems(said)
    for fact, said in {
        "notfound": "found known", "nxdomain": "resolve found known", "missing": "present found set", "pending": "bound running started scheduled",
        "nospace": "write space", "refused": "connect accept", "timeout": "respond answer", "unreachable": "reach reachable respond", "down": "up reachable running", "noroute": "reach reachable",
        "forbidden": "allowed permitted permission", "denied": "allowed permitted permission", "expired": "valid", "crashloop": "ready running", "absent": "present", "insufficient": "enough sufficient",
    }.items()
}  # fmt: skip
"""What a fact denies without a negation: `image not found` denies that it exists."""

FORWARD = _set(
    "from to at of since until till by above below over under exceeds exceeded against than with usual usually normally on in before after and"
)
"""Words that belong to the number after them, never to the one before."""

COUNTED_BY = _set("ready available updated desired replicas unavailable current")
"""Keys that count replicas: `ready=1/3`."""

#!/usr/bin/env bash
# Sends three alerts to Agent-SRE, as Alertmanager would, and says of each whether the answer is right.
# Needs bash (3.2 is enough, so macOS too), curl and date; no jq, no GNU date.
set -u -o pipefail # not -e: a failed test must not hide the tests after it
LC_ALL=C           # bytes: cutting a long answer stays fast, and UTF-8 passes through unharmed

usage() {
  printf '%s\n' \
    'Usage: ./test-alert-webhook.sh [--help]' \
    '' \
    'Posts three alerts to SERVICE_URL/webhook/alert and prints PASSED or FAILED for each:' \
    '  1 a firing warning, HighMemoryUsage' \
    '  2 a firing critical alert, PodCrashLooping' \
    '  3 the same HighMemoryUsage, resolved' \
    'Exit status: 0 when all three passed, 1 when one failed, 2 for a wrong call.' \
    '' \
    'Environment:' \
    '  SERVICE_URL              where Agent-SRE listens (default http://localhost:8080; NodePort: http://<node>:31081)' \
    '  AGENT_SRE_WEBHOOK_TOKEN  the webhook token, if Agent-SRE has one' \
    '  CONNECT_TIMEOUT          seconds to wait for a connection (default 5)' \
    '  MAX_TIME                 seconds to wait for one answer (default 60; Agent-SRE takes up to 25)' \
    '  EXCERPT_LINES            lines of each analysis to print (default 12; 0 for none)' \
    '' \
    'The incident of PodCrashLooping stays open afterwards: no test sends its end.'
}

case "${1-}" in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    printf 'Unknown argument: %s\n\n' "$1" >&2
    usage >&2
    exit 2
    ;;
esac

if ! command -v curl > /dev/null; then
  printf 'curl is not installed, and this script sends the alerts with it.\n' >&2
  exit 2
fi

SERVICE_URL=${SERVICE_URL:-http://localhost:8080}
SERVICE_URL=${SERVICE_URL%/}
TOKEN=${AGENT_SRE_WEBHOOK_TOKEN-}
case $TOKEN in
  *[!A-Za-z0-9._~+/=-]*)
    printf 'AGENT_SRE_WEBHOOK_TOKEN holds a character that no Bearer token may have (a space or a quote, perhaps).\n' >&2
    exit 2
    ;;
esac
CONNECT_TIMEOUT=${CONNECT_TIMEOUT:-5}
MAX_TIME=${MAX_TIME:-60}
EXCERPT_LINES=${EXCERPT_LINES:-12}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# --- the three alerts ----------------------------------------------------------------------------

# One body with one alert, in the words of Alertmanager's payload version 4.
# body STATUS LABELS ANNOTATIONS STARTS_AT ENDS_AT GENERATOR_URL FINGERPRINT, where LABELS and ANNOTATIONS are JSON.
body() {
  local name=${2#*\"alertname\":\"}
  name=${name%%\"*}
  printf '{"version":"4","groupKey":"{}/{severity=~\\"warning|critical\\"}:{alertname=\\"%s\\"}","truncatedAlerts":0,' "$name"
  printf '"status":"%s","receiver":"ai-agent-webhook","groupLabels":{"alertname":"%s"},' "$1" "$name"
  printf '"commonLabels":%s,"commonAnnotations":%s,"externalURL":"http://alertmanager.example:9093",' "$2" "$3"
  printf '"alerts":[{"status":"%s","labels":%s,"annotations":%s,' "$1" "$2" "$3"
  printf '"startsAt":"%s","endsAt":"%s","generatorURL":"%s","fingerprint":"%s"}]}' "$4" "$5" "$6" "$7"
}

STARTED_AT=$(now)
NOT_ENDED=0001-01-01T00:00:00Z # Alertmanager's "still firing"

MEMORY_LABELS='{"alertname":"HighMemoryUsage","severity":"warning","namespace":"homepage","pod":"bruno-site-api-xyz123","container":"api","job":"bruno-site-api"}'
MEMORY_URL='http://prometheus.example:9090/graph?g0.expr=container_memory_working_set_bytes%7Bcontainer%3D%22api%22%7D+%2F+container_spec_memory_limit_bytes+%3E+0.8&g0.tab=1'
MEMORY_FINGERPRINT=abc123def456

firing_warning() {
  body firing "$MEMORY_LABELS" \
    '{"summary":"Pod bruno-site-api-xyz123 is close to its memory limit","description":"Memory is at 85 % of the limit (1.7Gi of 2Gi) and has been for five minutes.","runbook":"https://runbooks.example/high-memory-usage","dashboard":"https://grafana.example/d/pod-memory"}' \
    "$STARTED_AT" "$NOT_ENDED" "$MEMORY_URL" "$MEMORY_FINGERPRINT"
}

# The fingerprint is not hexadecimal, as Alertmanager's are: a receiver that parses it as a number fails here.
firing_critical() {
  body firing \
    '{"alertname":"PodCrashLooping","severity":"critical","namespace":"homepage","pod":"bruno-site-postgres-0","container":"postgres","job":"bruno-site-postgres"}' \
    '{"summary":"Pod bruno-site-postgres-0 keeps crashing","description":"The container postgres was restarted 5 times in the last 10 minutes.","impact":"The site has no database.","runbook":"https://runbooks.example/pod-crash-looping"}' \
    "$STARTED_AT" "$NOT_ENDED" \
    'http://prometheus.example:9090/graph?g0.expr=increase%28kube_pod_container_status_restarts_total%5B10m%5D%29+%3E+3&g0.tab=1' \
    xyz789abc321
}

# The end of the first alert: same fingerprint, same startsAt.
resolved_warning() {
  body resolved "$MEMORY_LABELS" \
    '{"summary":"Pod bruno-site-api-xyz123 has memory again","description":"Memory is back at 65 % of the limit."}' \
    "$STARTED_AT" "$(now)" "$MEMORY_URL" "$MEMORY_FINGERPRINT"
}

# --- sending and judging -------------------------------------------------------------------------

# The token reaches curl through a pipe: on the command line every user of this machine could read it.
authorization() {
  [ -z "$TOKEN" ] || printf 'header = "Authorization: Bearer %s"\n' "$TOKEN"
}

# post PAYLOAD: sets CURL_STATUS, CONNECTED, HTTP_STATUS and ANSWER.
post() {
  local output
  output=$(printf '%s' "$1" | curl --silent --show-error --config <(authorization) \
    --connect-timeout "$CONNECT_TIMEOUT" --max-time "$MAX_TIME" \
    --header 'Content-Type: application/json' --data-binary @- \
    --write-out '\n%{time_connect} %{http_code}' "$SERVICE_URL/webhook/alert")
  CURL_STATUS=$?
  local figures=${output##*$'\n'}
  HTTP_STATUS=${figures##* }
  ANSWER=${output%"$figures"}
  case $figures in
    '' | 0[.,]000000\ 000) CONNECTED=no ;;
    *) CONNECTED=yes ;;
  esac
}

# json_text KEY: the text of the first "KEY": "..." in $ANSWER, decoded as far as reading needs it.
json_text() {
  local text=$ANSWER key="\"$1\"" backslash=$'\002' quote=$'\003'
  text=${text//\\\\/$backslash} # first, so that the \" and \n below are really escapes
  text=${text//\\\"/$quote}
  while [ "${text#*"$key"}" != "$text" ]; do
    text=${text#*"$key"}
    text=${text#"${text%%[![:space:]]*}"}
    case $text in :*) ;; *) continue ;; esac
    text=${text#:}
    text=${text#"${text%%[![:space:]]*}"}
    case $text in \"*) ;; *) continue ;; esac
    text=${text#\"}
    text=${text%%\"*}
    text=${text//\\n/$'\n'}
    text=${text//\\t/ }
    text=${text//\\u[dD]83[dD]\\u[dD][dD]0[dD]/🔍}
    text=${text//\\u[dD]83[dD]\\u[dD][cC][aA]1/💡}
    text=${text//$quote/\"}
    printf '%s' "${text//$backslash/\\}"
    return 0
  done
  return 1
}

# The text of one line, without control characters (they could rewrite the terminal) and not too long.
one_line() {
  local text=${1//[[:cntrl:]]/ }
  printf '%s' "${text:0:200}"
}

excerpt() {
  local line left=$EXCERPT_LINES
  while [ "$left" -gt 0 ] && IFS= read -r line; do
    [ -n "$line" ] || continue
    printf '        | %s\n' "${line//[[:cntrl:]]/ }"
    left=$((left - 1))
  done < <(printf '%s\n' "$1")
}

passed=0
failed=0
unreachable=no

verdict_failed() {
  failed=$((failed + 1))
  printf 'FAILED  %s: %s\n' "$1" "$2"
}

# What an HTTP status other than 200 usually means here.
hint() {
  case $1 in
    401 | 403) printf ' (set AGENT_SRE_WEBHOOK_TOKEN to the token that Agent-SRE was given)' ;;
    404 | 405) printf ' (is this Agent-SRE? the address must be its root, without a path)' ;;
    503) printf ' (Agent-SRE cannot write to its database; its log says why)' ;;
    3??) printf ' (a redirect: give the address that it leads to)' ;;
  esac
}

# check NAME PAYLOAD EXPECTED_MESSAGE WITH_ANALYSIS(yes|no)
check() {
  local message analysis
  if [ "$unreachable" = yes ]; then
    verdict_failed "$1" 'not sent, nothing answers'
    return
  fi
  post "$2"
  if [ "$CONNECTED" = no ]; then
    unreachable=yes
    verdict_failed "$1" "no connection to $SERVICE_URL (curl error $CURL_STATUS)"
    return
  fi
  if [ "$CURL_STATUS" -eq 28 ]; then
    verdict_failed "$1" "no answer within $MAX_TIME s"
    return
  fi
  if [ "$CURL_STATUS" -ne 0 ]; then
    verdict_failed "$1" "the answer broke off (curl error $CURL_STATUS)"
    return
  fi
  if [ "$HTTP_STATUS" != 200 ]; then
    verdict_failed "$1" "HTTP $HTTP_STATUS and not 200$(hint "$HTTP_STATUS"): $(one_line "$ANSWER")"
    return
  fi
  if ! message=$(json_text message); then
    verdict_failed "$1" "the answer has no message: $(one_line "$ANSWER")"
    return
  fi
  if [ "$message" != "$3" ]; then
    verdict_failed "$1" "the message is \"$(one_line "$message")\" and not \"$3\""
    return
  fi
  if [ "$4" = no ]; then
    passed=$((passed + 1))
    printf 'PASSED  %s: HTTP 200, "%s"\n' "$1" "$message"
    return
  fi
  if ! analysis=$(json_text analysis) || [ -z "$analysis" ]; then
    verdict_failed "$1" "the answer has no analysis: $(one_line "$ANSWER")"
    return
  fi
  case $analysis in
    *'## 🔍 Analysis'*)
      passed=$((passed + 1))
      printf 'PASSED  %s: HTTP 200, "%s", with an analysis\n' "$1" "$message"
      excerpt "$analysis"
      ;;
    *) verdict_failed "$1" "the analysis has no heading \"## 🔍 Analysis\": $(one_line "$analysis")" ;;
  esac
}

printf 'Sending three alerts to %s/webhook/alert\n' "$SERVICE_URL"
check '1 firing warning HighMemoryUsage' "$(firing_warning)" 'Processed 1 alerts' yes
check '2 firing critical PodCrashLooping' "$(firing_critical)" 'Processed 1 alerts' yes
check '3 resolved HighMemoryUsage' "$(resolved_warning)" 'Processed 0 alerts' no
printf '%s of 3 passed\n' "$passed"

if [ "$unreachable" = yes ]; then
  printf '%s\n' \
    "Nothing answers at $SERVICE_URL. Start Agent-SRE (agent-sre serve), or open a way to the one in the cluster" \
    '(kubectl port-forward -n agent-sre svc/sre-agent-service 8080:8080), or name another address:' \
    '  SERVICE_URL=http://<node>:31081 ./test-alert-webhook.sh' >&2
fi
[ "$failed" -eq 0 ]

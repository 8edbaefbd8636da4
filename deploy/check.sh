#!/usr/bin/env bash
# Looks at the stack that runs as a person would, and says what is not well.
#   deploy/check.sh
# Environment: STACK_HTTP_PORT, STACK_HTTPS_PORT, COMPOSE_FILE as for docker compose.
set -euo pipefail
cd "$(dirname "$0")/.."

https=https://127.0.0.1:${STACK_HTTPS_PORT:-8443}
http=http://127.0.0.1:${STACK_HTTP_PORT:-8000}
# With deploy/compose/tls.yml there is TLS alone. The answer is read whole, as in roll.sh.
grep -q 'target: 8000' <<< "$(docker compose config 2> /dev/null)" || http=$https
bad=0

main() {
  check 'every service is well, and none was started again' services
  check 'a message goes from node1 to node3' message
  check 'a cookie leads to the same node' sticky
  check 'TLS is spoken, and the nodes are behind it' tls
  check 'Redis, metrics and nodes cannot be reached from outside' closed
  check 'Redis lets in nobody without a name' redis_users
  check 'Prometheus reads every target' scraped
  check 'no alert fires' alerts
  check 'no secret is in an environment' environments
  if [ $bad -gt 0 ]; then
    echo "$bad of 9 checks failed"
    exit 1
  fi
  echo 'all is well'
}

check() { # WHAT FUNCTION
  local said status
  # Not as a condition: that would switch off `set -e` within.
  set +e
  said=$(set -euo pipefail; "$2" 2>&1)
  status=$?
  set -e
  if [ $status -eq 0 ]; then
    echo "ok      $1"
  else
    echo "FAILED  $1"
    printf '%s\n' "$said" | tail -n 20 | sed 's/^/        /'
    bad=$((bad + 1))
  fi
}

services() {
  local id name state health restarts wrong=0
  for id in $(docker compose ps --all --quiet); do
    IFS='|' read -r name state health restarts < <(docker inspect --format \
      '{{.Name}}|{{.State.Status}} {{.State.ExitCode}}|{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}|{{.RestartCount}}' "$id")
    case "$state $health" in
      'running 0 healthy' | 'exited 0 none') [ "$restarts" = 0 ] && continue ;;
    esac
    echo "$name: $state, $health, started again $restarts times"
    why "$id"
    wrong=1
  done
  [ -n "${id:-}" ] || { echo 'nothing runs: docker compose up -d'; wrong=1; }
  return $wrong
}

# why CONTAINER: what the engine, or who asks whether it is well, says of it.
why() {
  local said
  said=$(docker inspect --format '{{.State.Error}}{{with .State.Health}}{{range .Log}}|{{.Output}}{{end}}{{end}}' "$1" |
    tr '|' '\n' | sed '/^ *$/d' | tail -n 1)
  # A node that ends says why in its log.
  [ -n "$said" ] || said=$(docker logs --tail 1 "$1" 2>&1)
  [ -z "$said" ] || echo "    $said"
  case $said in
    *'in use'* | *'already allocated'*)
      echo '    something else has this port: end it, or set STACK_HTTP_PORT, STACK_HTTPS_PORT or STACK_GRAFANA_PORT' ;;
  esac
}

# In the load balancer's container, which reaches the nodes.
message() {
  local key token
  key=$(secret api_key)
  token=$(docker compose exec -T node1 /sealcast gen-token --user check)
  { printf 'key=%q token=%q\n' "$key" "$token"; cat deploy/check-message.sh; } |
    docker compose exec -T haproxy bash -s
}

sticky() {
  local cookie again
  cookie=$(curl -sS --max-time 10 --insecure -o /dev/null -D - "$http/health/ready" | tr -d '\r' | sed -n 's/^[Ss]et-[Cc]ookie: \([^;]*\).*/\1/p')
  [ -n "$cookie" ] || { echo 'no cookie is set'; return 1; }
  for _ in $(seq 50); do
    again=$(curl -sS --max-time 10 --insecure -o /dev/null -D - -H "Cookie: $cookie" "$http/health/ready")
    case $again in *[Ss]et-[Cc]ookie*) echo 'another node was given'; return 1 ;; esac
  done
}

tls() {
  curl -sS --max-time 10 --insecure --fail -o /dev/null "$https/health/ready"
}

closed() {
  local service found
  for service in redis node1 node2 node3 prometheus alertmanager; do
    found=$(docker inspect --format '{{range $port, $to := .NetworkSettings.Ports}}{{range $to}}{{$port}} {{end}}{{end}}' "$(docker compose ps --quiet "$service")")
    [ -z "$found" ] || { echo "$service publishes $found"; return 1; }
  done
  if docker compose exec -T haproxy timeout 3 bash -c 'exec 3<> /dev/tcp/redis/6379' 2> /dev/null; then
    echo 'the load balancer reaches Redis'
    return 1
  fi
  [ "$(curl -s --max-time 10 --insecure -o /dev/null -w '%{http_code}' "$http/metrics")" = 404 ] || { echo '/metrics is public'; return 1; }
}

redis_users() {
  docker compose exec -T redis sh -c 'redis-cli ping || redis-cli --tls --insecure ping' 2>&1 | grep NOAUTH
}

scraped() {
  local down tries
  # What has just begun may not be known yet; where something is bad, waiting does not help.
  for tries in $(seq $((bad > 0 ? 1 : 30))); do
    down=$(query 'count(up==0) or vector(0)')
    [ "$down" = 0 ] && [ "$(query 'count(up{job="sealcast"}==1)')" = 3 ] && return
    sleep 2
  done
  echo "$down targets are down after $tries tries"
  docker compose exec -T prometheus wget -q -O - 'http://127.0.0.1:9090/api/v1/targets?state=active' |
    grep -o '"scrapeUrl":"[^"]*"\|"lastError":"[^"]*"' || true
  return 1
}

alerts() {
  local firing
  firing=$(query 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)')
  [ "$firing" = 0 ] && return
  docker compose exec -T prometheus wget -q -O - http://127.0.0.1:9090/api/v1/alerts | grep -o '"alertname":"[^"]*"'
  return 1
}

# query EXPRESSION: the value that Prometheus answers.
query() {
  local encoded
  encoded=$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g')
  docker compose exec -T prometheus wget -q -O - "http://127.0.0.1:9090/api/v1/query?query=$encoded" |
    sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'
}

environments() {
  local name value all
  all=$(docker compose ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Config.Env}} {{.Config.Cmd}} {{.Args}}')
  for name in api_key token_key cluster_key cookie_key relay_password ops_password grafana_password; do
    value=$(secret "$name")
    case $all in *"$value"*) echo "$name is in the environment or the arguments of a container"; return 1 ;; esac
  done
}

secret() {
  docker compose run --rm --no-deps -T key "$1" 2> /dev/null | tail -n 1
}

main

#!/usr/bin/env bash
# Replaces the nodes one after the other, so that no client notices more than a reconnect. Stops at
# the first node that does not come up well: the other ones serve, and deploy/rollback.sh goes back.
#   deploy/roll.sh [VERSION]     VERSION is the tag of the image sealcast; unless given, the same
#                                nodes are started anew, with what changed in docker-compose.yml
# Environment: ROLL_SECONDS, how long a node may take to be well again (default 120).
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${ROLL_SECONDS:-120}

main() {
  [ $# -le 1 ] || { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
  if [ $# -eq 1 ]; then
    docker image inspect "sealcast:$1" > /dev/null 2>&1 || { echo "there is no image sealcast:$1" >&2; exit 1; }
    choose "$1"
  fi
  local node
  for node in node1 node2 node3; do
    # Never take one out while another is missing.
    others "$node" || { echo "$node stays: another node is not in balance" >&2; exit 1; }
    echo "$node: leaving"
    docker compose stop "$node" 2> /dev/null
    docker compose up --detach --no-deps --no-build "$node" 2> /dev/null
    wait_for "$node: well" well "$node"
    wait_for "$node: in balance" in_balance "$node"
    wait_for "clients: nobody waits to be let in" quiet
  done
  echo 'every node was replaced'
}

# choose VERSION: from now on, remembering the one before for rollback.sh.
choose() {
  local before
  before=$(docker inspect --format '{{.Config.Image}}' "$(docker compose ps --all --quiet node1)")
  if [ "${before#*:}" != "$1" ]; then
    printf '%s\n' "${before#*:}" > deploy/.before
  fi
  touch .env
  sed -i '/^STACK_VERSION=/d' .env
  printf 'STACK_VERSION=%s\n' "$1" >> .env
}

wait_for() { # WHAT COMMAND...
  local what=$1 end=$((SECONDS + seconds))
  shift
  until "$@" > /dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "not within $seconds s: $what; see deploy/rollback.sh" >&2
      exit 1
    fi
    sleep 1
  done
  echo "$what"
}

well() {
  [ "$(docker inspect --format '{{.State.Health.Status}}' "$(docker compose ps --quiet "$1")")" = healthy ]
}

# Whoever asks reads the whole answer before looking at it: with pipefail, a pipe that grep leaves
# at the first match fails now and then.
in_balance() {
  local metrics
  metrics=$(ask haproxy 8405) || return 1
  grep -q "^haproxy_server_status{proxy=\"nodes\",server=\"$1\",state=\"UP\"} 1" <<< "$metrics"
}

others() {
  local node
  for node in node1 node2 node3; do
    [ "$node" = "$1" ] || in_balance "$node" || return 1
  done
}

quiet() {
  local node metrics
  for node in node1 node2 node3; do
    metrics=$(ask "$node" 9000) || return 1
    grep -q '^sealcast_connections_waiting 0$' <<< "$metrics" || return 1
  done
}

# ask HOST PORT: its metrics, from within the network.
ask() {
  docker compose exec -T haproxy bash -c \
    "exec 3<> /dev/tcp/$1/$2 && printf 'GET /metrics HTTP/1.1\r\nHost: roll\r\nConnection: close\r\n\r\n' >&3 && cat <&3"
}

main "$@"

#!/usr/bin/env bash
# Runs load scripts one after the other against the stack that runs, and sums up.
#   load-tests/run.sh [SCRIPT...]      default: every one but limits and soak; names without .js
# Environment: SIZE (small, medium, large); MINUTES, of soak (10). With K6, a k6 program, scripts run here instead of in
# a container, and BASE_URL, TOKEN_KEY_FILE and API_KEY_FILE say against what.
# The load comes from one address: start the stack with
#   LB_IP_CONNECTIONS=100000 LB_IP_CONNECTS=100000 LB_IP_REQUESTS=100000 docker compose up -d
# and, for cursors, with STACK_CONN_COMMANDS=none STACK_USER_MESSAGES=none.
set -euo pipefail
cd "$(dirname "$0")"

main() {
  if [ $# -eq 0 ]; then
    set -- connect-storm chat cursors fanout sse reconnect server-api
  fi
  local script failed=()
  for script in "$@"; do
    [ -f "$script.js" ] || { echo "no such script: $script" >&2; exit 2; }
  done
  for script in "$@"; do
    echo "==== $script"
    run "$script.js" || failed+=("$script")
  done
  if [ ${#failed[@]} -gt 0 ]; then
    echo "goals were missed: ${failed[*]}"
    exit 1
  fi
  echo "every goal was met"
}

run() {
  if [ -n "${K6:-}" ]; then
    "$K6" run --quiet "$1"
  else
    docker compose --profile load run --rm --no-deps k6 "/load-tests/$1"
  fi
}

main "$@"

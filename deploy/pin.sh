#!/usr/bin/env bash
# Prints an overlay for docker-compose.yml that pins each image of others to the digest of what was
# pulled here, so that no tag can come to mean something else:
#   docker compose pull --ignore-buildable
#   deploy/pin.sh > docker-compose.digests.yml
#   export COMPOSE_FILE=docker-compose.yml:docker-compose.digests.yml
# Environment: COMPOSE_FILE, as for docker compose.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
  local service image digest pinned=''
  while read -r service image; do
    digest=$(digest_of "$image") || case $image in
      # Built here, from this repository.
      sealcast:*) continue ;;
      *) echo "$image has no digest: was it pulled from a registry?" >&2; exit 1 ;;
    esac
    pinned+="  $service:"$'\n'"    image: ${image%@*}@$digest"$'\n'
  done < <(docker compose --profile '*' config | services)
  [ -n "$pinned" ] || { echo 'no image is pinned' >&2; exit 1; }
  printf 'services:\n%s' "$pinned"
}

# The name and the image of each service, of what `docker compose config` prints.
services() {
  awk '/^[a-z]/ { within = $1 == "services:" }
    within && /^  [^ ]/ { name = $1; sub(/:$/, "", name) }
    within && /^    image: / { print name, $2 }'
}

digest_of() {
  local digest
  digest=$(docker image inspect --format '{{index .RepoDigests 0}}' "$1" 2> /dev/null) || return 1
  [[ $digest =~ @(sha256:[0-9a-f]{64})$ ]] && echo "${BASH_REMATCH[1]}"
}

main

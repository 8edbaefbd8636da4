#!/bin/sh
# Makes a Redis Cluster of members that run with `cluster-enabled yes`, unless they are one, and
# waits until it serves. The first half are primaries, the others their replicas.
# Environment: MEMBERS, their addresses, an even number from six on; PASSWORD_FILE, with the password
# of the user `cluster`.
set -eu

first=${MEMBERS%% *}
REDISCLI_AUTH=$(cat "$PASSWORD_FILE")
export REDISCLI_AUTH

ask() {
  redis-cli -h "$first" --user cluster "$@"
}

if ask cluster info | grep -q '^cluster_known_nodes:1'; then
  for member in $MEMBERS; do
    set -- "$@" "$member:6379"
  done
  redis-cli --user cluster --cluster create "$@" --cluster-replicas 1 --cluster-yes
fi
tries=0
until ask cluster info | grep -q '^cluster_state:ok'; do
  tries=$((tries + 1))
  if [ $tries -ge 60 ]; then
    echo 'the cluster does not serve:' >&2
    ask cluster info >&2
    exit 1
  fi
  sleep 1
done
echo 'the cluster serves'

#!/usr/bin/env bash
# Backs up what Redis keeps, and keeps 7 of days and 4 of weeks. Run it once a day.
#   deploy/backup.sh FOLDER [DATA]     DATA is Redis' folder; unless given, that of the stack
#   deploy/backup.sh --restore FILE DATA      unpacks FILE into DATA, which must be empty
# Environment: RECOVERY_CERT, a PEM certificate: the backup is encrypted for it, and who writes
# backups cannot read them. RECOVERY_KEY, its private key, to restore. REDIS_SERVICE, which Redis of
# the stack (default redis): with a Redis Cluster back up each primary into a folder of its own.
set -euo pipefail
umask 077

# Redis appends to the last file of a manifest and never changes the others, so that a copy is good
# if the manifest is the same before and after. What was half written at its end, Redis cuts off.
readonly manifest=appendonlydir/appendonly.aof.manifest

main() {
  case ${1-} in
    --restore) [ $# -eq 3 ] || usage; restore "$2" "$3" ;;
    '' | -*) usage ;;
    *) [ $# -le 2 ] || usage; backup "$1" "${2-}" ;;
  esac
}

usage() {
  sed -n '3,6s/^# *//p' "$0" >&2
  exit 2
}

backup() {
  local folder=$1 data=$2 name before tries
  mkdir -p "$folder"
  name=$folder/redis-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
  for tries in 1 2 3; do
    before=$(in_data "$data" cat "$manifest")
    # 1 says that a file grew meanwhile, as the last one may; more is a failure.
    { in_data "$data" tar -c appendonlydir || [ $? -eq 1 ]; } | gzip > "$name.new"
    if [ "$before" = "$(in_data "$data" cat "$manifest")" ]; then
      gzip -t "$name.new"
      seal "$name"
      rotate "$folder"
      return
    fi
    echo "the files changed while they were copied, try $tries" >&2
  done
  rm -f "$name.new"
  echo 'no backup was made' >&2
  exit 1
}

# in_data DATA COMMAND...: in Redis' folder, here or in the container.
in_data() {
  local data=$1
  shift
  if [ -n "$data" ]; then
    (cd "$data" && "$@")
  else
    (cd "$(dirname "$0")/.." && docker compose exec -T "${REDIS_SERVICE:-redis}" "$@")
  fi
}

seal() {
  if [ -n "${RECOVERY_CERT:-}" ]; then
    openssl cms -encrypt -binary -stream -outform DER -aes-256-gcm -in "$1.new" -out "$1.cms" "$RECOVERY_CERT"
    rm "$1.new"
    echo "$1.cms"
  else
    echo 'not encrypted: RECOVERY_CERT is not set' >&2
    mv "$1.new" "$1"
    echo "$1"
  fi
}

# The newest of each of the last 7 days and of the last 4 weeks stay.
rotate() {
  local file day week kept='' days=0 weeks=0 keep
  while IFS= read -r file; do
    day=$(sed 's/.*redis-\([0-9]*\)T.*/\1/' <<< "$file")
    week=$(date -u -d "$day" +%G-%V)
    keep=no
    case $kept in *" $day "*) ;; *) [ $days -ge 7 ] || { days=$((days + 1)); keep=yes; kept+=" $day "; } ;; esac
    case $kept in *" $week "*) ;; *) [ $weeks -ge 4 ] || { weeks=$((weeks + 1)); keep=yes; kept+=" $week "; } ;; esac
    [ $keep = yes ] || rm -- "$file"
  done < <(find "$1" -maxdepth 1 -name 'redis-*.tar.gz*' ! -name '*.new' | sort -r)
}

restore() {
  local file=$1 data=$2
  [ -d "$data" ] && [ -z "$(ls -A "$data")" ] || { echo "$data is not an empty folder" >&2; exit 1; }
  case $file in
    *.cms)
      # Whole before any of it is used: what was tampered with is told at its end.
      openssl cms -decrypt -binary -inform DER -in "$file" -inkey "${RECOVERY_KEY:?is not set}" -out "$data/.backup"
      ;;
    *) cp "$file" "$data/.backup" ;;
  esac
  gzip -t "$data/.backup"
  tar -xzf "$data/.backup" -C "$data"
  rm "$data/.backup"
}

main "$@"

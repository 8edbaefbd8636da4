#!/usr/bin/env bash
# Goes back to the version before the last `deploy/roll.sh VERSION`, in the same way.
#   deploy/rollback.sh
set -euo pipefail
cd "$(dirname "$0")"

if [ ! -s .before ]; then
  echo 'no version before this one is known: deploy/roll.sh VERSION' >&2
  exit 1
fi
exec ./roll.sh "$(< .before)"

#!/bin/sh
# Prints nginx.conf.template with numbers and places from the environment.
#   deploy/nginx/render.sh > /etc/nginx/nginx.conf
# ${NAME-VALUE} is what NAME says, or VALUE if it is not set; ${NAME*6-VALUE} is six times that.
set -eu

exec awk '
function refuse(why) {
  print name ": " why > "/dev/stderr"
  refused = 1
  exit 1
}
# The text of what stands between the braces.
function filled(inner) {
  dash = index(inner, "-")
  name = substr(inner, 1, dash - 1)
  value = substr(inner, dash + 1)
  times = ""
  if ((star = index(name, "*")) > 0) {
    times = substr(name, star + 1)
    name = substr(name, 1, star - 1)
  }
  if (name in ENVIRON) value = ENVIRON[name]
  # Nothing that ends a directive or begins another.
  if (value !~ /^[][A-Za-z0-9._:\/*-]+$/) refuse("not a number, an address or a path")
  if (times == "") return value
  if (value !~ /^[0-9]+$/) refuse("not a number")
  return sprintf("%d", value * times)
}
{
  rest = $0
  line = ""
  while (match(rest, /\$\{LB_[A-Z0-9_]+(\*[0-9]+)?-[^}]*\}/)) {
    line = line substr(rest, 1, RSTART - 1) filled(substr(rest, RSTART + 2, RLENGTH - 3))
    rest = substr(rest, RSTART + RLENGTH)
  }
  print line rest
}
END { if (refused) exit 1 }
' "$(dirname "$0")/nginx.conf.template"

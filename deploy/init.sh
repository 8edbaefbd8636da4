#!/bin/sh
# Makes every secret of the stack, each once, into the folders of those who need it. What is
# there stays; what is at fault stops the stack.
#   deploy/init.sh FOLDER       FOLDER/node, /lb, /redis, /metrics, /grafana, /alerts,
#                               /load and /person, who has all of them
# Environment: OWNERS=no to leave the files to who calls. REDIS_TLS=yes for a certificate of Redis,
# and its authority for those who ask it; REDIS_CLUSTER=yes for what members of a Redis Cluster
# need. OWN, a folder with what is yours, each
# in the place of what is made here: tls.pem, a PEM file with certificate, chain and key;
# page_url, ticket_url and watchdog_url, where alerts go.
set -eu
umask 077

main() {
  here=$(dirname "$0")
  folder=${1:?FOLDER is missing}
  for part in node lb redis metrics grafana alerts load person; do
    mkdir -p "$folder/$part"
    # Everyone may pass through; each file has one reader.
    chmod 0755 "$folder/$part"
  done

  random "$folder/person/api_key"
  random "$folder/person/token_key"
  random "$folder/person/grafana_password"
  random "$folder/person/relay_password"
  random "$folder/person/ops_password"
  random "$folder/person/cluster_key"
  random "$folder/person/cookie_key"
  random "$folder/person/cluster_password"

  copy api_key node 10001
  copy token_key node 10001
  copy cluster_key node 10001
  copy relay_password node 10001
  printf 'global\n    setenv LB_COOKIE_KEY "%s"\n' "$(cat "$folder/person/cookie_key")" > "$folder/person/cookie.cfg"
  copy cookie.cfg lb 99
  # The exporter asks by address, newer ones with the user in it.
  ops=$(cat "$folder/person/ops_password")
  for address in redis redis2 redis3 redis4 redis5 redis6; do
    printf '"%s":"%s",' "redis://$address:6379" "$ops" "redis://ops@$address:6379" "$ops"
  done | sed 's/.*/{&"rediss:\/\/redis:6379":"OPS","rediss:\/\/ops@redis:6379":"OPS"}/' |
    sed "s/OPS/$ops/g" > "$folder/person/redis_passwords.json"
  copy redis_passwords.json metrics 59000
  copy grafana_password grafana 472
  copy api_key load 12345
  copy token_key load 12345
  users
  [ "${REDIS_TLS:-no}" = no ] || redis_certificate
  certificate
  alerts
  echo 'init: every secret is there'
}

# random FILE: 32 random bytes as 64 hexadecimal digits, unless the file is there.
random() {
  if [ ! -s "$1" ]; then
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$1.new"
    mv "$1.new" "$1"
  fi
  [ "$(wc -c < "$1")" -ge 32 ] || fail "$1 is shorter than 32 characters; remove it and start again"
}

# copy SECRET PART OWNER: from the person's folder into that of who needs it.
copy() {
  put "$folder/person/$1" "$folder/$2/$1" "$3"
}

# put FROM TO OWNER: only OWNER reads it. Written anew each time, so that both are the same.
put() {
  rm -f "$2"
  cp "$1" "$2"
  chmod 0400 "$2"
  [ "${OWNERS:-yes}" = no ] || chown "$3:$3" "$2"
}

# The users of Redis, with hashes in the place of passwords.
users() {
  list=$folder/redis/users.acl
  relay=$(sha256sum < "$folder/person/relay_password")
  ops=$(sha256sum < "$folder/person/ops_password")
  cluster=$(sha256sum < "$folder/person/cluster_password")
  set -- "$here/redis/users.acl"
  if [ "${REDIS_CLUSTER:-no}" != no ]; then
    set -- "$@" "$here/redis/users-cluster.acl"
    copy cluster_password redis 999
    printf 'masteruser cluster\nmasterauth %s\n' "$(cat "$folder/person/cluster_password")" > "$folder/person/cluster.conf"
    copy cluster.conf redis 999
  fi
  # Redis takes no comments in this file.
  cat "$@" | sed -e '/^#/d' -e "s/RELAY_PASSWORD_SHA256/${relay%% *}/" -e "s/OPS_PASSWORD_SHA256/${ops%% *}/" \
    -e "s/CLUSTER_PASSWORD_SHA256/${cluster%% *}/" > "$folder/person/users.acl"
  grep -q '^user default off' "$folder/person/users.acl" || fail 'users.acl does not switch the default user off'
  put "$folder/person/users.acl" "$list" 999
}

# An authority of the stack's own, and Redis' certificate by it; both anew before they end.
redis_certificate() {
  ca=$folder/person/redis_ca
  own=$folder/person/redis
  if ! openssl x509 -in "$own.pem" -noout -checkend 2592000 > /dev/null 2>&1; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 800 -subj '/CN=Sealcast Redis' \
      -keyout "$ca.key" -out "$ca.pem" 2> /dev/null || fail 'no authority for Redis could be made'
    openssl req -x509 -CA "$ca.pem" -CAkey "$ca.key" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 799 \
      -subj '/CN=redis' -addext 'subjectAltName=DNS:redis' -addext 'basicConstraints=critical,CA:FALSE' \
      -keyout "$own.key" -out "$own.crt" 2> /dev/null || fail 'no certificate for Redis could be made'
    cat "$own.crt" "$own.key" > "$own.new"
    # Nobody else is to be vouched for.
    rm "$own.key" "$own.crt" "$ca.key"
    mv "$own.new" "$own.pem"
  fi
  copy redis.pem redis 999
  copy redis_ca.pem redis 999
  copy redis_ca.pem node 10001
  copy redis_ca.pem metrics 59000
}

certificate() {
  given=${OWN:-/nowhere}/tls.pem
  own=$folder/person/tls.pem
  if [ -e "$given" ]; then
    check_certificate "$given"
    put "$given" "$folder/lb/tls.pem" 99
    return
  fi
  if [ ! -s "$own" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
      -subj '/CN=localhost' -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
      -keyout "$own.key" -out "$own.crt" 2> "$own.err" || { cat "$own.err" >&2; fail 'no certificate could be made'; }
    cat "$own.crt" "$own.key" > "$own.new"
    rm "$own.key" "$own.crt" "$own.err"
    mv "$own.new" "$own"
  fi
  check_certificate "$own"
  put "$own" "$folder/lb/tls.pem" 99
}

# check_certificate FILE: it lives for a day more, and the key is the certificate's.
check_certificate() {
  openssl x509 -in "$1" -noout -checkend 86400 > /dev/null 2>&1 ||
    fail "$1: no certificate that is good for a day more; put a new one there, or remove it"
  of_certificate=$(openssl x509 -in "$1" -noout -pubkey 2> /dev/null)
  of_key=$(openssl pkey -in "$1" -pubout 2> /dev/null) || fail "$1: there is no private key in it"
  [ "$of_certificate" = "$of_key" ] || fail "$1: the key is not the certificate's"
}

# Where alerts go: unless told, nowhere but to the pages of Alertmanager.
alerts() {
  cp "$here/alertmanager/alertmanager.yml" "$folder/person/alertmanager.yml"
  for name in page_url ticket_url watchdog_url; do
    url=http://127.0.0.1:9/nobody-is-told
    if [ -e "${OWN:-/nowhere}/$name" ]; then
      url=$(cat "$OWN/$name")
    fi
    case $url in
      *[[:space:]\"\'\|]* | '') fail "$name is no URL" ;;
      http://* | https://*) ;;
      *) fail "$name is no URL" ;;
    esac
    sed -e "s|$name|$(printf %s "$url" | sed 's/[&\\]/\\&/g')|" "$folder/person/alertmanager.yml" > "$folder/person/alertmanager.new"
    mv "$folder/person/alertmanager.new" "$folder/person/alertmanager.yml"
  done
  put "$folder/person/alertmanager.yml" "$folder/alerts/alertmanager.yml" 65534
}

fail() {
  echo "init: $1" >&2
  exit 1
}

main "$@"

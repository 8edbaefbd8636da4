# Run by check.sh in a container with bash and nothing else, with $key and $token before it:
# listens at node3, publishes at node1, ends well if the message comes.
set -euo pipefail
LC_ALL=C

# A text frame of a client, 126 to 65,535 bytes, masked with zeros.
send() {
  local text=$1
  while [ ${#text} -lt 126 ]; do text+=' '; done
  # shellcheck disable=SC2059
  printf "\\x81\\xfe$(printf '\\x%02x\\x%02x' $((${#text} / 256)) $((${#text} % 256)))\\0\\0\\0\\0" >&3
  printf %s "$text" >&3
}

until_seen() {
  local got='' one
  while [[ $got != *"$1"* ]]; do
    IFS= read -r -t 5 -n 1 -d '' -u 3 one || { echo "node3 did not say: $1"; exit 1; }
    got+=$one
  done
}

exec 3<> /dev/tcp/node3/8000
printf 'GET /connection/websocket HTTP/1.1\r\nHost: check\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n' >&3
until_seen ' 101 '
send "{\"id\":1,\"connect\":{\"token\":\"$token\"}}"
until_seen '"client":'
send '{"id":2,"subscribe":{"channel":"chat:check"}}'
until_seen '"subscribe":'
text=check-$RANDOM-$RANDOM
body="{\"channel\":\"chat:check\",\"data\":\"$text\"}"
exec 4<> /dev/tcp/node1/8000
printf 'POST /api/publish HTTP/1.1\r\nHost: check\r\nConnection: close\r\nContent-Type: application/json\r\nX-API-Key: %s\r\nContent-Length: %s\r\n\r\n%s' "$key" "${#body}" "$body" >&4
until_seen "$text"

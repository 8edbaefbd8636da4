-- Publishes once, in order, and keeps it if asked to. Answers the head of what was
-- kept; of what came before, if it is not newer than that. Here is what happens
-- nearly always, when only the head changes; see publish.lua and stream.lua for the
-- rest.
-- To keep nothing
-- KEYS: answer
-- ARGV: topic, record, window of the idempotency key (ms)
-- and to keep it
-- KEYS: meta, stream, and answer if there is an idempotency key
-- ARGV: topic, flags and body, most entries, what else is asked for (incarnation, ttl
--   of the position (ms), most bytes, ttl (ms)), epoch if there is none, tag; then if
--   there is a key or a version: window (ms), version, and what it counts in (those
--   that are not there are empty)
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local topic, body = ARGV[1], ARGV[2]

if #KEYS == 1 then
  local answered = call('GET', KEYS[1])
  if answered then return answered end
  call('SET', KEYS[1], '', 'PX', ARGV[3])
  call('PUBLISH', topic, body)
  return ''
end

local meta, stream, answer = KEYS[1], KEYS[2], KEYS[3]
local entries, asked, tag, window, version = ARGV[3], ARGV[4], ARGV[6], ARGV[7], ARGV[8]

if answer then
  local answered = call('GET', answer)
  if answered then return answered end
end

local state = call('GET', meta)
if state and #state >= 179 and (not version or version == '') then
  local format, _, offset, _, last, bytes, before, _, _, epoch, look_at, look_above, ttl, agreed =
    unpack('>BBI8I8I8I8c8c8Bc32I8I8I8c32', state)
  if format == 1 and agreed == asked and now < look_at and bytes + #body <= look_above then
    -- None goes before its predecessor does.
    local gone = now + ttl
    if gone < last then gone = last end
    offset = offset + 1
    local head = pack('>BBI8I8I8I8c8c8Bc32',
      1, 1, offset, now, gone, bytes + #body + 83, tag, before, 32, epoch)
    local record = head .. body
    call('XADD', stream, 'MAXLEN', entries, string.format('%d', offset), 'r', record)
    call('SETRANGE', meta, 0, head)
    if answer then call('SET', answer, head, 'PX', window) end
    call('PUBLISH', topic, record)
    return head
  end
end

-- Publishes once, in order, and keeps it if asked to.
-- KEYS: meta, stream, sizes, answer
-- ARGV: topic, window of the idempotency key (ms, empty without one), and either
--   the whole record, to keep nothing, or
--   epoch if there is none, ttl of the position (ms), incarnation, most entries,
--   most bytes, ttl (ms), version and what it counts in (both may be empty), flags, tag, body
local meta, stream, sizes, answer = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local topic, window = ARGV[1], ARGV[2]

if window ~= '' then
  local answered = redis.call('GET', answer)
  if answered then return answered end
end

if #ARGV == 3 then
  if window ~= '' then redis.call('SET', answer, '', 'PX', window) end
  redis.call('PUBLISH', topic, ARGV[3])
  return ''
end

local meta_ttl, entries, bytes, ttl = ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local version, counts_in, flags, tag, body = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]

local epoch, top, total, before = begin(meta, stream, sizes, ARGV[3], meta_ttl, ARGV[5])
if version ~= '' then
  local newest = redis.call('HMGET', meta, 'v', 'w')
  -- Of equal length, so that comparing texts compares numbers beyond 2^53.
  if newest[1] and newest[2] == counts_in and version <= newest[1] then
    return position(top, epoch)
  end
  redis.call('HSET', meta, 'v', version, 'w', counts_in)
end

local now = clock()
local offset = top + 1
local gone = now + ttl
local record = struct.pack('>BBBI8I8I8', 1, 1, tonumber(flags), offset, now, gone)
  .. tag .. before .. string.char(#epoch) .. epoch .. body

redis.call('XADD', stream, string.format('%.0f-0', offset), 'r', record)
redis.call('RPUSH', sizes, string.format('%.0f %.0f', gone, total))
total = total + #record
redis.call('HSET', meta, 'o', string.format('%.0f', offset), 'b', string.format('%.0f', total), 't', tag)
trim(stream, sizes, now, offset, total, entries, bytes)
redis.call('PEXPIRE', stream, ttl)
redis.call('PEXPIRE', sizes, ttl)
redis.call('PEXPIRE', meta, meta_ttl)

local result = position(offset, epoch)
if window ~= '' then redis.call('SET', answer, result, 'PX', window) end
redis.call('PUBLISH', topic, record)
return result

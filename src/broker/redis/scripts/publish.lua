-- Publishes once, in order, and keeps it if asked to.
-- KEYS: meta, stream, sizes, answer
-- ARGV: topic, window of the idempotency key (ms, empty without one), and either
--   the whole record, to keep nothing, or
--   epoch if there is none, ttl of the position (ms), incarnation, most entries,
--   most bytes, ttl (ms), version and what it counts in (both may be empty), flags, tag, body
local meta, stream, sizes, answer = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local topic, window = ARGV[1], ARGV[2]

if window ~= '' then
  local answered = call('GET', answer)
  if answered then return answered end
end

if #ARGV == 3 then
  if window ~= '' then call('SET', answer, '', 'PX', window) end
  call('PUBLISH', topic, ARGV[3])
  return ''
end

local meta_ttl, entries, bytes, ttl = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local version, counts_in, flags, tag, body = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]

local epoch, top, total, before, stays, known = begin(meta, stream, sizes, ARGV[3], ARGV[4], ARGV[5])
if version ~= '' then
  local newest = call('HMGET', meta, 'v', 'w')
  -- Of equal length, so that comparing texts compares numbers beyond 2^53.
  if newest[1] and newest[2] == counts_in and version <= newest[1] then
    return position(top, epoch)
  end
  call('HSET', meta, 'v', version, 'w', counts_in)
end

local now = clock()
local offset = top + 1
local gone = now + ttl
local record = struct.pack('>BBBI8I8I8', 1, 1, tonumber(flags), offset, now, gone)
  .. tag .. before .. string.char(#epoch) .. epoch .. body

local at = string.format('%.0f', offset)
call('XADD', stream, at, 'r', record)
local count = call('RPUSH', sizes, string.format('%.0f %.0f', gone, total))
total = total + #record
call('HSET', meta, 'o', at, 'b', string.format('%.0f', total), 't', tag)
trim(stream, sizes, now, offset, total, entries, bytes, count)

-- They stay a little longer than they must, so that not every publication has to
-- see to it. What begins anew has no time yet.
if count == 1 or stays < gone then
  local longer = ttl + math.floor(ttl / 16)
  call('PEXPIRE', stream, longer)
  call('PEXPIRE', sizes, longer)
  call('HSET', meta, 'x', string.format('%.0f', now + longer))
end
if known < now + meta_ttl then
  local longer = meta_ttl + math.floor(meta_ttl / 16)
  call('PEXPIRE', meta, longer)
  call('HSET', meta, 'y', string.format('%.0f', now + longer))
end

local result = at .. ' ' .. epoch
if window ~= '' then call('SET', answer, result, 'PX', window) end
call('PUBLISH', topic, record)
return result

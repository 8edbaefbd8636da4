-- Looks at all that advance.lua does not.
local incarnation, meta_ttl, most, ttl = unpack('>I8I8I8I8', asked)
state = begin(state, meta, stream, ARGV[5], meta_ttl, incarnation)
if not state then return unknown() end
local offset, _, last, bytes, before, _, _, epoch = unpack('>I8I8I8I8c8c8Bc32', state, 3)
local oldest, stays, known, behind, of = unpack('>I8I8I8I8I8', state, 140)

local versions = string.sub(state, LEAST + 1)
if version and version ~= '' then
  -- Of equal length, so that comparing texts compares numbers beyond 2^53.
  local newest = string.sub(versions, 1, 20)
  if newest ~= '' and string.sub(versions, 21) == ARGV[9] and version <= newest then
    return state
  end
  versions = version .. ARGV[9]
end

local gone = math.max(now + ttl, last)
local upto = bytes + #body + 83
if oldest <= now or upto - behind > most then
  oldest, behind = trim(stream, now, upto, most)
  if oldest == false then return unknown() end
  if not oldest then oldest, behind = gone, bytes end
end
if upto - bytes > most then entries = 0 end

local head = pack('>BBI8I8I8I8c8c8Bc32',
  1, 1, offset + 1, now, gone, upto, tag, before, 32, epoch)
local record = head .. body
call('XADD', stream, 'MAXLEN', entries, string.format('%d', offset + 1), 'r', record)

-- Both stay a little longer than they must, so that not every publication has to see
-- to it.
if stays < gone then
  stays = gone + math.floor(ttl / 16)
  call('PEXPIRE', stream, math.ceil(stays - now))
end
local renewed = known < now + meta_ttl
if renewed then known = now + meta_ttl + math.floor(meta_ttl / 16) end
local look_at = math.min(oldest, stays - ttl, known - meta_ttl)
state = head .. pack('>I8I8I8', look_at, math.max(behind + most - 83, 0), ttl) .. asked
  .. pack('>I8I8I8I8I8', oldest, stays, known, behind, of) .. versions
if renewed then
  call('SET', meta, state, 'PX', math.ceil(known - now))
else
  call('SET', meta, state, 'KEEPTTL')
end

if answer then call('SET', answer, head, 'PX', window) end
call('PUBLISH', topic, record)
return head

-- Where a stream stands is one string under `meta`. It begins with the head of the
-- stream's last record, which is 83 bytes long (see record.rs); its first byte is the
-- version of both. Behind that stand, numbers being big-endian:
--   8  until when a publication need look at nothing else here
--   8  how many bytes there may be before it, with its body, for that
--   8  ttl (ms) of who looked last
--  32  all that was asked for then
--   8  when the oldest entry goes, or earlier
--   8  until when the stream stays if nothing more comes
--   8  until when this stays
--   8  bytes of all before the oldest entry, or fewer
--   8  incarnation
--  20  the newest version in decimal, and behind it what it counts in; or nothing
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local LEAST = 179

local function unknown()
  return redis.error_reply('FORMAT what lies under this key is of no format that this version knows')
end

-- Begins the stream anew, whatever it was. Answers where it stands.
local function renew(meta, stream, epoch, ttl, incarnation)
  local none = string.rep('\0', 8)
  local state = '\1\1' .. string.rep(none, 6) .. '\32' .. epoch
    .. string.rep(none, 11) .. pack('>I8', incarnation)
  call('DEL', stream)
  call('SET', meta, state, 'PX', ttl)
  return state
end

-- Where the stream stands; it begins anew if it has been forgotten, or is of an older
-- incarnation: its end may have been lost then. `nil` if the format is unknown.
local function begin(state, meta, stream, epoch, ttl, incarnation)
  if state then
    if #state < LEAST or string.byte(state) ~= 1 then return nil end
    if unpack('>I8', state, 172) >= tonumber(incarnation) then return state end
    -- The epoch says why, in capital letters: its node counts that.
    epoch = string.upper(epoch)
  end
  return renew(meta, stream, epoch, ttl, incarnation)
end

-- Drops the oldest entries while their time is over, or while those behind hold more
-- than `most` of all `bytes`. Answers when the oldest that stays goes, and the bytes
-- of all before it; nothing if none stays, and `false` if the format is unknown.
local function trim(stream, now, bytes, most)
  local from, count, dropped = '-', 2, false
  repeat
    local entries = call('XRANGE', stream, from, '+', 'COUNT', count)
    local all = #entries < count
    for _, entry in ipairs(entries) do
      local record = entry[2][2]
      if string.byte(record) ~= 1 then return false end
      local gone, upto = unpack('>I8I8', record, 19)
      local before = upto - #record
      if gone > now and bytes - before <= most then
        if dropped then call('XTRIM', stream, 'MINID', entry[1]) end
        return gone, before
      end
      from, dropped = '(' .. entry[1], true
    end
    count = math.min(2 * count, 64)
  until all
  if dropped then call('XTRIM', stream, 'MAXLEN', 0) end
end

-- Drops the entries whose time is over. `false` if the format is unknown.
local function expire(stream, state)
  return unpack('>I8', state, 140) > now or trim(stream, now, 0, 0) ~= false
end

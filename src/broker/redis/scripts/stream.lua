local call = redis.call

-- Drops the oldest entries while there are more than `entries`, while they hold
-- more than `bytes`, or while their time is over. `total` counts the bytes of all
-- entries there ever were, as the sizes do; `count` are the entries, if that is known.
local function trim(stream, sizes, now, top, total, entries, bytes, count)
  count = count or call('LLEN', sizes)
  local dropped = 0
  while dropped < 10000 do
    local oldest = call('LINDEX', sizes, 0)
    if not oldest then break end
    local gone, before = string.match(oldest, '^(%d+) (%d+)$')
    if count - dropped <= entries and total - before <= bytes and tonumber(gone) > now then
      break
    end
    call('LPOP', sizes)
    dropped = dropped + 1
  end
  if dropped > 0 then
    call('XTRIM', stream, 'MINID', string.format('%.0f', top - count + dropped + 1))
  end
end

-- Begins the stream anew, whatever it was.
local function renew(meta, stream, sizes, epoch, ttl, incarnation)
  call('DEL', meta, stream, sizes)
  local tag = string.rep('\0', 8)
  call('HSET', meta, 'e', epoch, 'o', 0, 'b', 0, 't', tag, 'i', incarnation)
  call('PEXPIRE', meta, ttl)
  return epoch, 0, 0, tag, 0, 0
end

-- The stream's epoch, top, bytes and last tag, and until when the entries and the
-- position stay if nothing more comes; beginning anew if it has been forgotten, or is
-- of an older incarnation: its end may have been lost then.
local function begin(meta, stream, sizes, epoch, ttl, incarnation)
  local known = call('HMGET', meta, 'e', 'o', 'b', 't', 'i', 'x', 'y')
  if known[1] and tonumber(known[5] or 0) >= tonumber(incarnation) then
    return known[1], tonumber(known[2]), tonumber(known[3]), known[4],
      tonumber(known[6] or 0), tonumber(known[7] or 0)
  end
  -- In capitals if it replaces another: its node counts that.
  if known[1] then epoch = string.upper(epoch) end
  return renew(meta, stream, sizes, epoch, ttl, incarnation)
end

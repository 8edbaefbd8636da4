-- What operators have set for single users, connections, addresses and keys.
-- values: by what stands for whom; till: until when each holds; version: another
-- text after each change, and none while there is nothing.
local call = redis.call

-- Removes what is over.
local function drop_expired(values, till, now)
  local over = call('ZRANGEBYSCORE', till, '-inf', now, 'LIMIT', 0, 1000)
  if #over > 0 then
    call('HDEL', values, unpack(over))
    call('ZREM', till, unpack(over))
    if #over == 1000 then return drop_expired(values, till, now) end
  end
end

-- Something has changed: all stays as long as the last of them holds.
local function changed(values, till, version, now, new)
  local last = call('ZRANGE', till, -1, -1, 'WITHSCORES')
  if not last[2] then
    call('DEL', values, till, version)
    return
  end
  local rest = string.format('%.0f', math.max(1, last[2] - now))
  call('SET', version, new, 'PX', rest)
  call('PEXPIRE', values, rest)
  call('PEXPIRE', till, rest)
end

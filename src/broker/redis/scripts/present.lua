-- Takes those out whose time is over. The first 16 bytes of a member's record
-- stand for its user.
local present, till, users = KEYS[1], KEYS[2], KEYS[3]

local function take_out(client)
  local known = redis.call('HGET', present, client)
  if known then
    local user = string.sub(known, 1, 16)
    if redis.call('HINCRBY', users, user, -1) <= 0 then redis.call('HDEL', users, user) end
    redis.call('HDEL', present, client)
  end
  redis.call('ZREM', till, client)
end

local function expire(now)
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', till, '-inf', now, 'LIMIT', 0, 10000)) do
    take_out(client)
  end
end

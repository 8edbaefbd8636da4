-- Takes those out whose time is over. Behind its version, 16 bytes of a member's
-- record stand for its user. The version of all three keys stands among the users,
-- under a name that is too short to be one of theirs.
local present, till, users = KEYS[1], KEYS[2], KEYS[3]
local format = redis.call('HGET', users, 'v')
if format ~= '1' and (format or redis.call('EXISTS', present) == 1) then
  return redis.error_reply('FORMAT who is present is kept in the unknown format ' .. (format or '0'))
end

local function take_out(client)
  local known = redis.call('HGET', present, client)
  if known then
    local user = string.sub(known, 2, 17)
    if redis.call('HINCRBY', users, user, -1) <= 0 then
      redis.call('HDEL', users, user)
      if redis.call('HLEN', users) == 1 then redis.call('DEL', users) end
    end
    redis.call('HDEL', present, client)
  end
  redis.call('ZREM', till, client)
end

local function expire(now)
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', till, '-inf', now, 'LIMIT', 0, 10000)) do
    take_out(client)
  end
end

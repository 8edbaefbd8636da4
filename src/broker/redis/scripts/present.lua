-- Takes those out whose time is over. Behind its version, 16 bytes of a member's
-- record stand for its user. The version of all three keys stands among the users,
-- under a name that is too short to be one of theirs.
local present, till, users = KEYS[1], KEYS[2], KEYS[3]
local function unknown(format)
  return redis.error_reply('FORMAT who is present is kept in the unknown format ' .. format)
end

local format = redis.call('HGET', users, 'v')
if format then
  if format ~= '1' then return unknown(format) end
elseif redis.call('EXISTS', users) == 1 then
  return unknown('0')
else
  -- Where Redis has thrown the users away, they are counted again.
  local records = redis.call('HVALS', present)
  for _, record in ipairs(records) do
    if string.byte(record) ~= 1 then return unknown(string.byte(record) or 0) end
  end
  for _, record in ipairs(records) do
    redis.call('HINCRBY', users, string.sub(record, 2, 17), 1)
  end
  if #records > 0 then
    redis.call('HSET', users, 'v', '1')
    redis.call('PEXPIRE', users, math.max(redis.call('PTTL', present), 1))
  end
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

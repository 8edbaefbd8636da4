-- Enters a client, or keeps it there.
-- KEYS: present, until, users
-- ARGV: client, record, ttl (ms)
local client, record, ttl = ARGV[1], ARGV[2], ARGV[3]
expire(now)
local known = redis.call('HGET', present, client)
if known ~= record then
  if known then take_out(client) end
  redis.call('HSET', present, client, record)
  redis.call('HINCRBY', users, string.sub(record, 2, 17), 1)
  redis.call('HSETNX', users, 'v', '1')
end
redis.call('ZADD', till, string.format('%.0f', now + ttl), client)
redis.call('PEXPIRE', present, ttl)
redis.call('PEXPIRE', till, ttl)
redis.call('PEXPIRE', users, ttl)
return ''

-- Puts one in force; 0 if there is no place for another.
-- KEYS: values, till, version
-- ARGV: what stands for whom, value, how long (ms), most of all, version afterwards
local values, till, version = KEYS[1], KEYS[2], KEYS[3]
drop_expired(values, till, now)
if call('HEXISTS', values, ARGV[1]) == 0 and call('HLEN', values) >= tonumber(ARGV[4]) then
  return 0
end
call('HSET', values, ARGV[1], ARGV[2])
call('ZADD', till, string.format('%.0f', now + ARGV[3]), ARGV[1])
changed(values, till, version, now, ARGV[5])
return 1

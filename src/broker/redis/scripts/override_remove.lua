-- Removes one; 0 if there is none.
-- KEYS: values, till, version
-- ARGV: what stands for whom, version afterwards
local values, till, version = KEYS[1], KEYS[2], KEYS[3]
drop_expired(values, till, now)
if call('HDEL', values, ARGV[1]) == 0 then return 0 end
call('ZREM', till, ARGV[1])
changed(values, till, version, now, ARGV[2])
return 1

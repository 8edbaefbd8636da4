-- Counts a heartbeat of the cluster, and tells whether counts were lost: then so may
-- be the ends of streams, and there is a new incarnation. Tells the time as well.
-- KEYS: life
-- ARGV: incarnation that the node knows, and the count it was told in that; below
--   which the incarnation must not be; the newest incarnation of any primary
local stored = redis.call('HMGET', KEYS[1], 'i', 'n', 'v')
if stored[3] and stored[3] ~= '1' then
  return redis.error_reply('FORMAT heartbeats are counted in the unknown format ' .. stored[3])
end
local incarnation, count = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
local known, told = tonumber(ARGV[1]), tonumber(ARGV[2])
if incarnation < known or (incarnation == known and count < told) then
  incarnation = math.max(known, tonumber(ARGV[4])) + 1
end
incarnation = math.max(incarnation, tonumber(ARGV[3]))
count = count + 1
redis.call('HSET', KEYS[1], 'v', '1', 'i', string.format('%.0f', incarnation), 'n', string.format('%.0f', count))
local time = redis.call('TIME')
return {incarnation, count, time[1], time[2]}

-- Takes several out of a bucket at once, as many as are there; answers how many, and
-- if none for how long (µs) that stays so.
-- KEYS: bucket
-- ARGV: interval and depth (µs), how many
local bucket, interval, depth = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = micros()
local full = full_at(bucket, depth, now)
local count = math.min(tonumber(ARGV[3]), math.floor((now + depth - full + 1) / interval))
if count < 1 then return { 0, math.ceil(full + interval - now - depth) } end
note(bucket, full + count * interval, now)
return { count, 0 }

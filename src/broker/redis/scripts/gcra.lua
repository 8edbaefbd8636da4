-- GCRA on Redis' clock, in microseconds: a bucket's number is when it is full again.

-- Microseconds since 2026, so that parts of one are still exact.
local function micros()
  local time = redis.call('TIME')
  return (time[1] - 1767225600) * 1000000 + time[2]
end

-- When the bucket is full again, as things stand. Another rate may have held before.
local function full_at(bucket, depth, now)
  local used = tonumber(redis.call('GET', bucket) or now)
  return math.max(now, math.min(used, now + depth))
end

-- Notes it; a bucket that is full is as good as none.
local function note(bucket, full, now)
  redis.call('SET', bucket, string.format('%.3f', full), 'PX', math.ceil((full - now) / 1000))
end

-- GCRA on Redis' clock: a bucket's number is when it is full again, in microseconds
-- since 2026, so that parts of one are still exact.
local micros = (time[1] - 1767225600) * 1000000 + time[2]

-- When the bucket is full again, as things stand. Another rate may have held before.
local function full_at(bucket, depth)
  local used = tonumber(redis.call('GET', bucket) or micros)
  return math.max(micros, math.min(used, micros + depth))
end

-- Notes it; a bucket that is full is as good as none.
local function note(bucket, full)
  local rest = math.ceil((full - micros) / 1000)
  redis.call('SET', bucket, string.format('%.3f', full), 'PX', rest)
end

-- GCRA on Redis' clock: a bucket's number is when it is full again, in microseconds
-- since 2026, so that parts of one are still exact.
local micros = (time[1] - 1767225600) * 1000000 + time[2]

-- Notes when the bucket is full again; one that is full is as good as none.
local function note(bucket, full)
  local rest = math.ceil((full - micros) / 1000)
  redis.call('SET', bucket, string.format('%.3f', full), 'PX', rest)
end

-- When that is, as things stand. A slower rate may have held before: nothing is ever more
-- than empty, and fills up from now on.
local function full_at(bucket, depth)
  local used = tonumber(redis.call('GET', bucket) or micros)
  if used > micros + depth then
    used = micros + depth
    note(bucket, used)
  end
  return math.max(micros, used)
end

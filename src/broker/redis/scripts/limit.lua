-- Takes one out of each of some buckets, or nothing out of any, before the script
-- behind it does anything. Answers which bucket is empty, and for how long (µs).
-- KEYS behind those of the script: the buckets
-- ARGV behind those of the script: of each bucket the interval and the depth (µs);
--   1 if the last key of the script holds what was answered before, which is answered
--   again and not counted; and how many buckets there are
do
  local buckets, once = tonumber(ARGV[#ARGV]), ARGV[#ARGV - 1] == '1'
  local keys, own = #KEYS - buckets, #ARGV - 2 - 2 * buckets
  if not once or redis.call('EXISTS', KEYS[keys]) == 0 then
    local now, full, whose, wait = micros(), {}, 0, 1
    for at = 1, buckets do
      local depth = tonumber(ARGV[own + 2 * at])
      full[at] = full_at(KEYS[keys + at], depth, now) + tonumber(ARGV[own + 2 * at - 1])
      local over = full[at] - now - depth
      if over > wait then whose, wait = at, over end
    end
    if whose > 0 then return { whose, math.ceil(wait) } end
    for at = 1, buckets do note(KEYS[keys + at], full[at], now) end
  end
  for at = #KEYS, keys + 1, -1 do KEYS[at] = nil end
  for at = #ARGV, own + 1, -1 do ARGV[at] = nil end
end

-- The version, and of each how long it holds (ms) and its value; the version alone if
-- that is known.
-- KEYS: values, till, version
-- ARGV: the version that is known
local values, till, version = KEYS[1], KEYS[2], KEYS[3]
local current = call('GET', version) or ''
if current == ARGV[1] then return { current } end
local list, all = {}, call('ZRANGE', till, 0, -1, 'WITHSCORES')
for at = 1, #all, 2 do
  local rest = all[at + 1] - now
  if rest > 0 then
    list[#list + 1] = string.format('%.0f', rest)
    list[#list + 1] = call('HGET', values, all[at]) or ''
  end
end
return { current, list }

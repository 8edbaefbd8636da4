-- Says how many connections of one holder a node has, if that fits; 0 if not.
-- KEYS: of each node how many, and until when that is so if it does not say so again
-- ARGV: node, how many, most of all nodes together (empty for any number), ttl (ms)
local call = redis.call
local holders, node, count = KEYS[1], ARGV[1], tonumber(ARGV[2])
if count == 0 then
  call('HDEL', holders, node)
  return 1
end

local fits, own = true, nil
if ARGV[3] ~= '' then
  local others, gone, all = 0, {}, call('HGETALL', holders)
  for at = 1, #all, 2 do
    local had, till = string.match(all[at + 1], '^(%d+) (%d+)$')
    if all[at] == node then
      own = had
    elseif till and tonumber(till) > now then
      others = others + had
    else
      gone[#gone + 1] = all[at]
    end
  end
  if #gone > 0 then call('HDEL', holders, unpack(gone)) end
  fits = others + count <= tonumber(ARGV[3])
end
-- What it had before it keeps.
if fits or own then
  call('HSET', holders, node, string.format('%s %.0f', fits and ARGV[2] or own, now + ARGV[4]))
  call('PEXPIRE', holders, ARGV[4])
end
return fits and 1 or 0

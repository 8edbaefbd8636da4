-- Reads what lies behind a position that a node's subscribers have reached. If that
-- shows that the history was rewritten, the stream begins anew, in the same step.
-- KEYS: meta, stream, sizes
-- ARGV: epoch if there is none, ttl of the position (ms), incarnation, the
--   position's epoch and offset, first id, most entries, and the last entry that
--   the node has seen: offset and tag (both empty if it has seen none)
local meta, stream, sizes = KEYS[1], KEYS[2], KEYS[3]
local fresh, ttl, incarnation = ARGV[1], ARGV[2], ARGV[3]
local from, first, most, seen, seen_tag = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local epoch, top, total, tag = begin(meta, stream, sizes, fresh, ttl, incarnation)
if ARGV[4] ~= epoch then return {position(top, epoch)} end

-- Only what contradicts what the node has seen is a proof: what is too old to be
-- there may have been trimmed.
local function is_rewritten()
  if from > top then return true end
  if seen == '' then return false end
  if tonumber(seen) > top then return true end
  if tonumber(seen) == top then return seen_tag ~= tag end
  local entry = redis.call('XRANGE', stream, seen, seen)[1]
  if entry then
    local record = entry[2][2]
    -- The tag's place in a record of this version; any other proves nothing.
    return string.byte(record, 1) == 1 and string.sub(record, 28, 35) ~= seen_tag
  end
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return oldest and tonumber(string.match(oldest[1], '^%d+')) < tonumber(seen)
end

if is_rewritten() then
  epoch, top = renew(meta, stream, sizes, fresh, ttl, incarnation)
  return {position(top, epoch), 'renewed'}
end
if most == '0' then return {position(top, epoch), {}, tag} end
trim(stream, sizes, clock(), top, total, math.huge, math.huge)
return {position(top, epoch), redis.call('XRANGE', stream, first, '+', 'COUNT', most), tag}

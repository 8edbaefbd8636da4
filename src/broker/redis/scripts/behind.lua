-- Reads what lies behind a position that a node's subscribers have reached, behind
-- where the stream stands. If that shows that the history was rewritten, the stream
-- begins anew, in the same step.
-- KEYS: meta, stream
-- ARGV: epoch if there is none, ttl of the position (ms), incarnation, the
--   position's epoch and offset, first id, most entries, and the last entry that
--   the node has seen: offset and tag (both empty if it has seen none)
local meta, stream = KEYS[1], KEYS[2]
local fresh, ttl, incarnation = ARGV[1], ARGV[2], ARGV[3]
local from, first, most, seen, seen_tag = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local state = begin(call('GET', meta), meta, stream, fresh, ttl, incarnation)
if not state then return unknown() end
if ARGV[4] ~= string.sub(state, 52, 83) then return {state} end
local top = unpack('>I8', state, 3)

-- The tag's place in a record, and in where the stream stands.
local function tag(record) return string.sub(record, 35, 42) end

-- Only what contradicts what the node has seen is a proof: what is too old to be
-- there may have been trimmed.
local function is_rewritten()
  if from > top then return true end
  if seen == '' then return false end
  if tonumber(seen) > top then return true end
  if tonumber(seen) == top then return seen_tag ~= tag(state) end
  local entry = call('XRANGE', stream, seen, seen)[1]
  if entry then
    local record = entry[2][2]
    -- One of another version proves nothing.
    return string.byte(record) == 1 and tag(record) ~= seen_tag
  end
  local oldest = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return oldest and tonumber(string.match(oldest[1], '^%d+')) < tonumber(seen)
end

if is_rewritten() then
  return {renew(meta, stream, fresh, ttl, incarnation), 'renewed'}
end
if most == '0' then return {state, {}} end
if not expire(stream, state) then return unknown() end
return {state, call('XRANGE', stream, first, '+', 'COUNT', most)}

-- Reads a page, in the order that is asked for, behind where the stream stands.
-- KEYS: meta, stream
-- ARGV: epoch if there is none, ttl of the position (ms), incarnation, epoch that
--   is meant (empty for any), most entries, first and last id, whether the newest
--   come first
local meta, stream = KEYS[1], KEYS[2]
local state = begin(call('GET', meta), meta, stream, ARGV[1], ARGV[2], ARGV[3])
if not state then return unknown() end
if ARGV[4] ~= '' and ARGV[4] ~= string.sub(state, 52, 83) then return {state} end
if ARGV[5] == '0' then return {state, {}} end
if not expire(stream, state) then return unknown() end
local read = ARGV[8] == '1' and 'XREVRANGE' or 'XRANGE'
return {state, call(read, stream, ARGV[6], ARGV[7], 'COUNT', ARGV[5])}

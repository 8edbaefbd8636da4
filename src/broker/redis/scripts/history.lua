-- Reads a page, in the order that is asked for.
-- KEYS: meta, stream, sizes
-- ARGV: epoch if there is none, ttl of the position (ms), incarnation, epoch that
--   is meant (empty for any), most entries, first and last id, whether the newest
--   come first
local meta, stream, sizes = KEYS[1], KEYS[2], KEYS[3]
local epoch, top, total = begin(meta, stream, sizes, ARGV[1], ARGV[2], ARGV[3])
local at = position(top, epoch)
if ARGV[4] ~= '' and ARGV[4] ~= epoch then return {at} end
if ARGV[5] == '0' then return {at, {}} end
trim(stream, sizes, clock(), top, total, math.huge, math.huge)
local read = ARGV[8] == '1' and 'XREVRANGE' or 'XRANGE'
return {at, redis.call(read, stream, ARGV[6], ARGV[7], 'COUNT', ARGV[5])}

-- Milliseconds on Redis' clock, with a fraction.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

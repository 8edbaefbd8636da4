-- What a stream stands at, as one text.
local function position(offset, epoch)
  return string.format('%.0f %s', offset, epoch)
end

-- Milliseconds on Redis' clock.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

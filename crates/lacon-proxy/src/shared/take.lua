-- Takes from a bucket that fills evenly and holds what it fills by in a minute.
-- KEYS: the bucket. ARGV: its size, what is needed, what is wished. Gives {taken, milliseconds to wait}.
local size, need, wish = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(held[1] or size)
left = math.min(size, left + math.max(0, now - tonumber(held[2] or now)) * size / 60000)
if left < need then
  return {0, math.ceil((need - left) * 60000 / size)}
end
local taken = math.min(math.floor(left), math.max(need, wish))
redis.call('HSET', KEYS[1], 'left', left - taken, 'at', now)
redis.call('PEXPIRE', KEYS[1], 120000)
return {taken, 0}

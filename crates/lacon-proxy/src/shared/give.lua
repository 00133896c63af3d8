#!lua flags=allow-oom
-- Gives back what was taken from a budget and not spent; also where memory is full, since it needs none.
-- KEYS: what was spent, the epoch. ARGV: how much, the epoch that the caller knows. Gives what counts as spent.
local spent = tonumber(redis.call('GET', KEYS[1]) or 0)
if redis.call('GET', KEYS[2]) ~= ARGV[2] or spent < tonumber(ARGV[1]) then
  return spent
end
return redis.call('DECRBY', KEYS[1], ARGV[1])

-- Takes from what is left of a budget.
-- KEYS: what was spent, the epoch. ARGV: the budget, what is needed, what is wished, seconds to keep it, the epoch that the caller
-- knows: another one means that the server lost its memory, and nobody knows what was spent. Gives {taken, left}, or {-1, 0} then.
if redis.call('GET', KEYS[2]) ~= ARGV[5] then
  return {-1, 0}
end
local need, wish = tonumber(ARGV[2]), tonumber(ARGV[3])
local left = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[1]) or 0)
if left < need then
  return {0, left}
end
local taken = math.min(left, math.max(need, wish))
redis.call('INCRBY', KEYS[1], string.format('%d', taken))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {taken, left - taken}

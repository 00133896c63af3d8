-- Keeps an answer for some time and ends its flight.
-- KEYS: the answer, its flight. ARGV: who asked the source, the answer, milliseconds.
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
return 1

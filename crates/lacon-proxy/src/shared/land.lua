#!lua flags=allow-oom
-- Ends a flight without an answer, so that nobody waits for it.
-- KEYS: the flight. ARGV: whose it is.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1

-- Keeps content under its handle for some time, and its session's key with it. Nothing is ever replaced.
-- KEYS: the entry, the session. ARGV: the content, seconds. Gives 1, or 0 where another content has the handle.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return 0
end
if held then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
-- Last: once a script has written, the server no longer looks whether memory is full.
redis.call('EXPIRE', KEYS[2], ARGV[2] * 10)
return 1

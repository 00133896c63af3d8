#!lua flags=allow-oom
-- Gives an answer, or who gets it: the first that looks, for a while, which looking again extends. Also where memory is full: a
-- flight is small and soon gone.
-- KEYS: the answer, its flight. ARGV: who looks, milliseconds that a flight lasts, most bytes of an answer.
-- Gives {2, the answer}, {1, ''} where the caller is to ask the source, or {0, who asks it}.
local held = redis.call('GET', KEYS[1])
if held and #held <= tonumber(ARGV[3]) then
  return {2, held}
end
local who = redis.call('GET', KEYS[2])
if who and who ~= ARGV[1] then
  return {0, who}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {1, ''}

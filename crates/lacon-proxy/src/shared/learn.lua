-- Adds comparisons of counts with bills to those of a family, of which the latest are kept.
-- KEYS: the family's. ARGV: how many are kept, seconds, the comparisons. Gives how many there are.
redis.call('RPUSH', KEYS[1], unpack(ARGV, 3))
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[1]), -1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('LLEN', KEYS[1])

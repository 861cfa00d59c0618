local lock, holder = KEYS[1], ARGV[1]
if redis.call('HGET', lock, 'holder') ~= holder then return { 'no' } end
redis.call('HDEL', lock, 'holder', 'until')
return { 'done' }

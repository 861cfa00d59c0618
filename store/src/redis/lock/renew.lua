if redis.replicate_commands then redis.replicate_commands() end
local lock, holder, ttl, kept = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', lock, 'holder', 'until')
if known[1] ~= holder or now >= (tonumber(known[2] or '') or 0) then return { 'no' } end
redis.call('HSET', lock, 'until', string.format('%.0f', now + ttl))
redis.call('PEXPIRE', lock, kept)
return { 'ours' }

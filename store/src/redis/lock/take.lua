-- A lock is a hash: `holder`, `token`, and `until` which time it is held, in microseconds. It outlives its holder, so that
-- the next token is higher; when it is forgotten the clock sees to that.
if redis.replicate_commands then redis.replicate_commands() end
local lock, holder, ttl, kept = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', lock, 'holder', 'token', 'until')
local is_held = known[1] and now < (tonumber(known[3] or '') or 0)

if is_held and known[1] ~= holder then return { 'no' } end
local token = known[2]
if not is_held then
  local next = math.max((tonumber(token or '') or 0) + 1, now)
  token = string.format('%.0f', next)
  redis.call('HSET', lock, 'holder', holder, 'token', token, 'until', string.format('%.0f', now + ttl))
  redis.call('PEXPIRE', lock, kept)
else
  -- Written again, so that a repeated request waits for the replicas as the first did.
  redis.call('HSET', lock, 'token', token)
end
return { 'ours', token }

-- Appends an entry behind the one its writer saw last.
-- KEYS[1] the stream; ARGV[1] the number of that one, ARGV[2] of the new one, ARGV[3] the new one
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local number, data = '0', false
if last then
  number, data = string.match(last[1], '^%d+'), last[2][2]
end
if number == ARGV[2] and data == ARGV[3] then
  return {'ours'} -- asked again by somebody who missed the answer
end
if number ~= ARGV[1] then
  return {'no'}
end
redis.call('XADD', KEYS[1], ARGV[2] .. '-1', 'd', ARGV[3])
return {'ours'}

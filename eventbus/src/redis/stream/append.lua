-- Adds an entry with its place: which life of the topic, and how many events that life has had. A counter that is gone
-- is a new life.
if redis.replicate_commands then redis.replicate_commands() end
local stream, counter = KEYS[1], KEYS[2]
local body, events, max, keep, bell = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local life = redis.call('HGET', counter, 'life')
if not life then
  local time = redis.call('TIME')
  life = string.format('%.0f', time[1] * 1000000 + time[2])
  redis.call('HSET', counter, 'life', life)
end
local place = life .. '-' .. redis.call('HINCRBY', counter, 'events', events)
local id = redis.call('XADD', stream, 'MAXLEN', '~', max, '*', 'p', place, 'b', body)
if keep > 0 then
  redis.call('PEXPIRE', stream, ARGV[4])
  redis.call('PEXPIRE', counter, ARGV[4])
end
redis.call('PUBLISH', bell, '')
return id .. '/' .. place

-- Gives a member what is next for its group, and says where the group was before. Beacons (format 1, kind 2) are for
-- those who get every event: they are acknowledged here.
if redis.replicate_commands then redis.replicate_commands() end
local stream, counter = KEYS[1], KEYS[2]
local group, member, count, lasts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local read = { 'XREADGROUP', 'GROUP', group, member, 'COUNT', count }
if lasts == '0' then read[#read + 1] = 'NOACK' end
for _, word in ipairs({ 'STREAMS', stream, '>' }) do read[#read + 1] = word end
local got = redis.pcall(unpack(read))
if got and got.err then
  if string.find(got.err, 'NOGROUP', 1, true) then return { 'gone' } end
  return got
end
local entries = got and got[1] and got[1][2] or {}
local before = redis.call('HGET', counter, 'at:' .. group) or ''
local place
for _, entry in ipairs(entries) do
  local fields = entry[2]
  if fields[1] == 'p' then place = fields[2] end
  if lasts == '1' and fields[4] and string.sub(fields[4], 1, 2) == '\1\2' then
    redis.call('XACK', stream, group, entry[1])
  end
end
if place then redis.call('HSET', counter, 'at:' .. group, place) end
return { 'ok', before, entries }

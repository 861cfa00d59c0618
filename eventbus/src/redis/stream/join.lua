-- Joins a group, which begins at `from` if it is new or, where it keeps no position, if nobody is in it any more.
if redis.replicate_commands then redis.replicate_commands() end
local stream, counter = KEYS[1], KEYS[2]
local group, member, from, base, lasts, stale = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

local made = redis.pcall('XGROUP', 'CREATE', stream, group, from, 'MKSTREAM')
local is_new = not made.err
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
if not is_new and lasts == '0' then
  local alive = false
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local name, idle
    for i = 1, #consumer, 2 do
      if consumer[i] == 'name' then name = consumer[i + 1] end
      if consumer[i] == 'idle' then idle = consumer[i + 1] end
    end
    if idle < stale then alive = true else redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
  end
  if not alive then
    redis.call('XGROUP', 'SETID', stream, group, from)
    is_new = true
  end
end
if is_new then
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local at = base
  if from == '$' then
    local known = redis.call('HMGET', counter, 'life', 'events')
    at = (known[1] and known[2]) and (known[1] .. '-' .. known[2]) or '-0'
    if last and last[2][1] == 'p' then at = last[2][2] end
  end
  redis.call('HSET', counter, 'at:' .. group, at)
end
redis.call('XGROUP', 'CREATECONSUMER', stream, group, member)
return { 'ok' }
